use super::*;
use crate::facts::plan::conjuncts;

fn rewritten(condition: &str, type_name: &str) -> Option<String> {
    let conjunct = conjuncts(condition).remove(0);
    let value = conjunct.right.unwrap();
    form(&conjunct.left, conjunct.operator.as_deref().unwrap(), &value, ("c", type_name, ' '), false).rewritten
}

#[test]
fn ranges_take_the_place_of_what_is_computed_from_a_time() {
    let time = "timestamp with time zone";
    assert_eq!(
        rewritten("((c)::date = '2024-02-03'::date)", time).unwrap(),
        "c >= '2024-02-03'::date AND c < ('2024-02-03'::date + 1)"
    );
    assert_eq!(rewritten("((c)::date > $1)", time).unwrap(), "c >= ($1 + 1)");
    assert_eq!(
        rewritten("(date_trunc('month'::text, c) = $1)", time).unwrap(),
        "c >= $1 AND c < ($1 + interval '1 month')"
    );
    assert_eq!(
        rewritten("(EXTRACT(year FROM c) = '2024'::numeric)", time).unwrap(),
        "c >= '2024-01-01' AND c < '2025-01-01'"
    );
    assert_eq!(
        rewritten("(to_char(c, 'YYYY-MM'::text) = '2024-12'::text)", time).unwrap(),
        "c >= '2024-12-01' AND c < '2025-01-01'"
    );
    assert_eq!(rewritten("(to_char(c, 'YYYY-MM'::text) = '2024-13'::text)", time), None);
    assert_eq!(rewritten("(to_char(c, 'Mon'::text) = 'Jan'::text)", time), None);
    assert_eq!(rewritten("(EXTRACT(month FROM c) = '2'::numeric)", time), None);
}

#[test]
fn values_take_the_type_of_the_column() {
    assert_eq!(rewritten("((c)::numeric = 4711.0)", "integer").unwrap(), "c = 4711");
    assert_eq!(rewritten("((c)::numeric = 4711.5)", "integer"), None);
    assert_eq!(rewritten("((c)::text = '7'::text)", "integer").unwrap(), "c = CAST('7' AS integer)");
    assert_eq!(rewritten("((c)::text = 'abc'::text)", "character"), None);
    assert_eq!(rewritten("((c + 1) = 7)", "integer").unwrap(), "c = (7 - 1)");
    assert_eq!(rewritten("(COALESCE(c, 0) = 7)", "integer").unwrap(), "c = 7");
    assert_eq!(rewritten("(COALESCE(c, 0) = 0)", "integer").unwrap(), "(c = 0 OR c IS NULL)");
    assert_eq!(rewritten("(lower(c) = 'x'::text)", "text"), None);
}
