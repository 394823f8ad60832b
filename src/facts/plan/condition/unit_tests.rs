use super::*;

/// As one line for each conjunct: `Column(o.a) = Constant(1)`
fn read(text: &str) -> Vec<String> {
    conjuncts(text).iter().map(conjunct).collect()
}

fn conjunct(conjunct: &Conjunct) -> String {
    let operator = conjunct.operator.iter().map(|operator| format!(" {operator}")).collect::<String>();
    let right = conjunct.right.iter().map(|right| format!(" {}", operand(right))).collect::<String>();
    let not = if conjunct.negated { "NOT " } else { "" };
    format!("{not}{}{operator}{right}", operand(&conjunct.left))
}

fn operand(of: &Operand) -> String {
    let list = |operands: &[Operand]| operands.iter().map(operand).collect::<Vec<_>>().join(", ");
    match &of.kind {
        OperandKind::Column { qualifier: Some(qualifier), name } => format!("Column({qualifier}|{name})"),
        OperandKind::Column { qualifier: None, name } => format!("Column({name})"),
        OperandKind::Cast { of, to } => format!("Cast({} to {to})", operand(of)),
        OperandKind::Call { function, arguments } => format!("Call({function}: {})", list(arguments)),
        OperandKind::Constant(text) => format!("Constant({text})"),
        OperandKind::Parameter(text) => format!("Parameter({text})"),
        OperandKind::SubPlan { name, hashed } => format!("{name}{}", if *hashed { " hashed" } else { "" }),
        OperandKind::Operation { operator, operands } => format!("Operation({operator}: {})", list(operands)),
        OperandKind::Or(arms) => {
            let arm = |arm: &Vec<Conjunct>| arm.iter().map(conjunct).collect::<Vec<_>>().join(" AND ");
            format!("Or({})", arms.iter().map(arm).collect::<Vec<_>>().join(" | "))
        }
        OperandKind::Other => format!("Other({})", of.text),
    }
}

#[test]
fn comparisons() {
    assert_eq!(read("(a = 1)"), ["Column(a) = Constant(1)"]);
    assert_eq!(
        read("((o.a >= 1) AND (\"Weird \"\"Col\" <> '-1'::integer))"),
        ["Column(o|a) >= Constant(1)", "Column(Weird \"Col) <> Constant('-1'::integer)"]
    );
    assert_eq!(
        read("((lower((b)::text) = 'it''s AND (x'::text) AND (c ~~ '%x%'::text))"),
        ["Call(lower: Cast(Column(b) to text)) = Constant('it''s AND (x'::text)", "Column(c) ~~ Constant('%x%'::text)"]
    );
    assert_eq!(read("(t = E'a\\'b'::text)"), ["Column(t) = Constant(E'a\\'b'::text)"]);
    assert_eq!(
        read("(a < ('2020-01-01'::date - '1 day'::interval))"),
        ["Column(a) < Operation(-: Constant('2020-01-01'::date), Constant('1 day'::interval))"]
    );
    assert_eq!(read("((a % 2) = 0)"), ["Operation(%: Column(a), Constant(2)) = Constant(0)"]);
    assert_eq!(read("((- a) = 1)"), ["Operation(-: Column(a)) = Constant(1)"]);
    assert_eq!(read("(v OPERATOR(public.<->) w)"), ["Column(v) public.<-> Column(w)"]);
}

#[test]
fn types_after_casts() {
    assert_eq!(
        read("((a)::timestamp without time zone > $1)"),
        ["Cast(Column(a) to timestamp without time zone) > Parameter($1)"]
    );
    assert_eq!(read("((a)::numeric(10,2) = 1.50)"), ["Cast(Column(a) to numeric(10,2)) = Constant(1.50)"]);
    assert_eq!(
        read("((a)::text = ANY ('{x,\"(y\"}'::text[]))"),
        ["Cast(Column(a) to text) = ANY Constant('{x,\"(y\"}'::text[])"]
    );
    assert_eq!(read("((a)::character varying(3)[] = b)"), ["Cast(Column(a) to character varying(3)[]) = Column(b)"]);
    assert_eq!(read("(a = (1)::bigint)"), ["Column(a) = Constant((1)::bigint)"]);
    assert_eq!(read("(a = ('1'::cstring)::public.mood)"), ["Column(a) = Constant(('1'::cstring)::public.mood)"]);
}

#[test]
fn null_tests_and_booleans() {
    assert_eq!(
        read("((a IS NULL) AND (b IS NOT NULL) AND active AND (NOT deleted))"),
        ["Column(a) IS NULL", "Column(b) IS NOT NULL", "Column(active)", "NOT Column(deleted)"]
    );
    assert_eq!(read("(a IS DISTINCT FROM b)"), ["Column(a) IS DISTINCT FROM Column(b)"]);
    assert_eq!(read("((a = 1) IS NOT TRUE)"), ["Operation(=: Column(a), Constant(1)) IS NOT TRUE"]);
    assert_eq!(read("active"), ["Column(active)"]);
    assert_eq!(read("false"), ["Constant(false)"]);
}

#[test]
fn ors_and_nots() {
    assert_eq!(
        read("((x = 1) AND ((a = 1) OR ((b = 2) AND (c = 3))))"),
        [
            "Column(x) = Constant(1)",
            "Or(Column(a) = Constant(1) | Column(b) = Constant(2) AND Column(c) = Constant(3))"
        ]
    );
    assert_eq!(read("((a = 1) OR (b = 2))"), ["Or(Column(a) = Constant(1) | Column(b) = Constant(2))"]);
    assert_eq!(read("(NOT ((a = 1) OR (b = 2)))"), ["NOT Or(Column(a) = Constant(1) | Column(b) = Constant(2))"]);
    assert_eq!(read("(NOT ((a = 1) AND b))"), ["NOT Or(Column(a) = Constant(1) AND Column(b))"]);
    assert_eq!(read("a = 1 AND b = 2 OR c"), ["Or(Column(a) = Constant(1) AND Column(b) = Constant(2) | Column(c))"]);
}

#[test]
fn sub_plans() {
    assert_eq!(read("(NOT (ANY (a = (hashed SubPlan 1).col1)))"), ["NOT Column(a) = ANY SubPlan 1 hashed"]);
    assert_eq!(read("(NOT (hashed SubPlan 1))"), ["NOT SubPlan 1 hashed"]);
    assert_eq!(read("EXISTS(SubPlan 2)"), ["SubPlan 2 EXISTS"]);
    assert_eq!(read("(a > (SubPlan 1))"), ["Column(a) > SubPlan 1"]);
    assert_eq!(read("(a = (InitPlan 1).col1)"), ["Column(a) = Parameter((InitPlan 1).col1)"]);
    assert_eq!(read("(a = $0)"), ["Column(a) = Parameter($0)"]);
}

#[test]
fn functions_of_sql() {
    assert_eq!(
        read("(EXTRACT(year FROM o.at) = '2020'::numeric)"),
        ["Call(EXTRACT: Constant(year), Column(o|at)) = Constant('2020'::numeric)"]
    );
    assert_eq!(
        read("(SUBSTRING(a FROM 1 FOR 2) = 'x'::text)"),
        ["Call(SUBSTRING: Column(a), Constant(1), Constant(2)) = Constant('x'::text)"]
    );
    assert_eq!(
        read("((a AT TIME ZONE 'UTC'::text) > CURRENT_TIMESTAMP)"),
        ["Operation(AT TIME ZONE: Column(a), Constant('UTC'::text)) > Call(CURRENT_TIMESTAMP: )"]
    );
    assert_eq!(
        read("(ROW(a, b) > ROW(1, 2))"),
        ["Call(ROW: Column(a), Column(b)) > Call(ROW: Constant(1), Constant(2))"]
    );
    assert_eq!(read("(count(*) > 10)"), ["Call(count: Other(*)) > Constant(10)"]);
    assert_eq!(
        read("(a = ANY (ARRAY[1, (b)[2]]))"),
        ["Column(a) = ANY Call(ARRAY: Constant(1), Operation([]: Column(b), Constant(2)))"]
    );
    assert_eq!(
        read("((CASE WHEN (a = 1) THEN 'x AND y'::text ELSE b END = 'x'::text) AND (c = 1))"),
        ["Other(CASE WHEN (a = 1) THEN 'x AND y'::text ELSE b END) = Constant('x'::text)", "Column(c) = Constant(1)"]
    );
    assert_eq!(
        read("((COALESCE(a, 0) = 1) AND ((b COLLATE \"C\") = 'x'::text))"),
        ["Call(COALESCE: Column(a), Constant(0)) = Constant(1)", "Operation(COLLATE: Column(b)) = Constant('x'::text)"]
    );
}

#[test]
fn columns_within() {
    let conjunct = &conjuncts("((lower(o.a) || (b)::text) = ANY (ARRAY[c, 'x'::text]))")[0];
    assert_eq!(conjunct.columns(), [(Some("o"), "a"), (None, "b"), (None, "c")]);
}

#[test]
fn what_cannot_be_read_does_not_spoil_the_rest() {
    assert_eq!(
        read("((a = 1) AND (b ??? ) AND (c = 2))"),
        ["Column(a) = Constant(1)", "Other((b ??? ))", "Column(c) = Constant(2)"]
    );
    assert_eq!(read("(a = 'open"), ["Other((a = 'open)"]);
    assert_eq!(read(""), [] as [&str; 0]);
    assert_eq!(read(")("), ["Other()()"]);
}

#[test]
fn never_panics() {
    const PARTS: [&str; 40] = [
        "(",
        ")",
        "(",
        ")",
        "[",
        "]",
        "a",
        "\"b c\"",
        "1",
        "2.5e",
        "'x'",
        "'",
        "\"",
        "E'\\",
        "::",
        "text",
        ".",
        ",",
        " AND ",
        " OR ",
        "NOT ",
        "IS ",
        "NULL",
        "=",
        "~~",
        "ANY ",
        "CASE ",
        "END",
        "$1",
        "$",
        "hashed ",
        "SubPlan 1",
        "InitPlan ",
        "EXISTS",
        "ARRAY[",
        "OPERATOR(",
        "FROM ",
        "é",
        "\u{1F600}",
        "COLLATE ",
    ];
    let mut state = 88172645463325252_u64;
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..state % 30 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            text += PARTS[(state % 40) as usize];
        }
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        for conjunct in conjuncts(&text) {
            assert!(text.contains(&conjunct.text) || conjunct.operator.is_none(), "{text}");
        }
    }
}

#[test]
fn any_depth_and_length() {
    for part in
        ["(", "NOT ", "- ", "a + ", "a::text", "f(", "(a)::x::", "a IS NULL ", "ARRAY[", "((a) AND ", "a.", "CASE "]
    {
        assert!(!conjuncts(&part.repeat(50_000)).is_empty(), "{part}");
    }
    let deep = format!("{}a = 1{}", "(".repeat(50_000), ")".repeat(50_000));
    assert_eq!(read(&deep), ["Column(a) = Constant(1)"]);
    let many = format!("({})", vec!["(a = 1)"; 50_000].join(" AND "));
    assert_eq!(conjuncts(&many).len(), 50_000);
}
