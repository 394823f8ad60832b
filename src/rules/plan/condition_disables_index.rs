use crate::advice::index_selection::Step;
use crate::advice::plan_conditions::is_constant;
use crate::advice::plan_weight::{Explains, finding, shown};
use crate::advice::sargable::{Form, Parts, form_of};
use crate::facts::plan::{Conjunct, Operand, OperandKind, conjuncts};
use crate::facts::query::Part;
use crate::facts::{Column, Facts, Index, Table};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::rules::function_per_row::rows_tested;
use crate::rules::{missing_index, partitions_not_pruned};

pub static RULE: Rule = Rule {
    id: "condition_disables_index",
    category: "plan",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A scan tests a function, a cast or arithmetic of a column that leads an index of its own, against a value, and by that \
                throws away at least min_discarded_share of the rows; no index holds the expression. The condition can be written with the \
                column bare, or an index on the expression is proved to help.",
    effect: "The index is on the column as it is: what is computed from it has another order, so that every row is read and computed.",
    workaround: "Leave the column bare and move the work to the other side: a range in place of a date cast or date_trunc(), a value \
                 of the column's type in place of a cast. Otherwise index the expression.",
    sources: &[
        "https://www.postgresql.org/docs/17/indexes-expressional.html",
        "https://use-the-index-luke.com/sql/where-clause/obfuscation",
    ],
    options: &[
        OptionSpec::number(
            "min_discarded_share",
            (0.8, "of the rows tested"),
            (0.0, 1.0),
            "Conditions that keep more are left alone.",
        ),
        OptionSpec::number("min_rows", (1000.0, "rows"), (0.0, 1e12), "Scans that test fewer rows are left alone."),
    ],
    needs: &[Need::Catalog, Need::RelationNames, Need::Plan],
    cases: &[
        Case {
            name: "a day of a timestamp",
            setup: "create table t (id int primary key, at timestamptz); insert into t select g, '2024-01-01'::timestamptz + g * \
                    interval '1 minute' from generate_series(1, 100000) g; create index on t (at); vacuum analyze t; create table \
                    example as select 'select * from t where at::date = date ''2024-02-03''' as query, true as analyze",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "an integer compared with a numeric value, planned only",
            setup: "create table t (id int primary key, v text); insert into t select g, md5(g::text) from generate_series(1, 100000) \
                    g; vacuum analyze t; create table example as select 'select * from t where id = 4711.0' as query, false as \
                    analyze",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a function that cannot be moved: an index on it",
            setup: "create table t (id int primary key, v text); insert into t select g, 'Name ' || g from generate_series(1, 100000) \
                    g; create index on t (v); vacuum analyze t; create table example as select 'select * from t where lower(v) = \
                    ''name 4711''' as query, true as analyze",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "partitions: told once",
            setup: "create table t (id int, at timestamptz) partition by range (id); create table t_a partition of t for values from (0) \
                    to (50000); create table t_b partition of t for values from (50000) to (100001); insert into t select g, \
                    '2024-01-01'::timestamptz + g * interval '1 minute' from generate_series(1, 100000) g; create index on t (at); \
                    vacuum analyze t; create table example as select 'select * from t where at::date = date ''2024-02-03''' as \
                    query, true as analyze",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "bare columns, a varchar, an index on the expression, no index at all",
            setup: "create table t (id int primary key, v varchar(40), w text, x text, at timestamptz); insert into t select g, 'n' || g, \
                    'N' || g, 'X' || g, now() from generate_series(1, 50000) g; create index on t (v); create index on t (w); create \
                    index on t (lower(w)); vacuum analyze t; create table example as select 'select id from t where v = ''n7'' union \
                    all select id from t where lower(w) = ''n8'' union all select id from t where id = 7 and v <> ''x'' union all \
                    select id from t where lower(x) = ''x9'' union all select id from t where at::date > date ''2000-01-01''' as \
                    query, true as analyze",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let plan = &facts.explained().plan;
    Ok((0..plan.nodes.len()).filter_map(|node| judge(facts, options, node)).collect())
}

/// A finding of this rule tells of the scan.
pub fn tells_of(facts: &Facts, scan: usize) -> bool {
    judge(facts, &Options::defaults(&RULE), scan).is_some()
}

fn judge(facts: &Facts, options: &Options, node: usize) -> Option<Finding> {
    let explained = facts.explained();
    let here = explained.node(node);
    let table = facts.catalog().known(explained.tables[node]?)?;
    let (tested, kept) = (rows_tested(facts, node), explained.plan.total_rows(node).unwrap_or(here.rows));
    if tested < options.number("min_rows") || (tested - kept) / tested < options.number("min_discarded_share") {
        return None;
    }
    let filters = conjuncts(here.filter.as_deref()?);
    if partitions_not_pruned::tells_of(facts, node) {
        return None;
    }
    let (wrapped, index) = filters.iter().find_map(|conjunct| {
        let wrapped = Wrapped::of(facts, table, conjunct)?;
        // Which of several conditions throws the rows away is not measured: an equality most often does.
        let decides = filters.len() == 1 || matches!(conjunct.operator.as_deref(), Some("=" | "= ANY"));
        if !decides {
            return None;
        }
        Some((wrapped, unused_index(facts, table, conjunct)?))
    })?;
    let explains = Explains::by_node(explained, node);
    let mut finding = finding(facts, node, explains)?;
    let (index, form) = (table.index_name(index), form_of(facts, &wrapped.parts()));
    finding.summary = format!(
        "{} on {} is tested on {} rows, {}: index {index} is on the bare column",
        wrapped.conjunct.text,
        table.name,
        shown(tested),
        explains.told()
    );
    finding.cause = format!(
        "{index} finds rows by {} itself, and the condition asks for something computed from it. {}",
        wrapped.column.name,
        form.advice()
    );
    finding.app_fix =
        form.rewritten.clone().map(|condition| format!("Write the condition as {condition}{}", form.note()));
    finding.evidence.extend(object! {
        "condition": wrapped.conjunct.text,
        "column": wrapped.column.name.raw(),
        "index_not_used": index.to_string(),
        "rewritten_condition": form.rewritten,
        "rows_tested": tested.round(),
        "rows_kept": kept.round(),
    });
    if filters.len() > 1 {
        finding.cause +=
            &format!(" Which of the filter's {} conditions throws the rows away is not measured.", filters.len());
    }
    if form.rewritten.is_some() {
        return Some(finding);
    }
    // Nothing that can be written otherwise: an index on the expression is the only help.
    match (index_on_expression(facts, node, table), form.folds_case) {
        (Some(place), _) => {
            finding.cause += " The planner, shown an index on the expression, takes it.";
            Some(missing_index::fixing(facts, place, finding))
        }
        (None, true) => {
            finding.cause += " That an index on the expression helps is not proved.";
            Some(finding)
        }
        (None, false) => None,
    }
}

/// A condition on a column that is not bare, with a value.
struct Wrapped<'a> {
    conjunct: &'a Conjunct,
    expression: &'a Operand,
    value: &'a Operand,
    column: &'a Column,
}

impl<'a> Wrapped<'a> {
    fn of(facts: &Facts, table: &'a Table, conjunct: &'a Conjunct) -> Option<Wrapped<'a>> {
        const SERVED: [&str; 6] = ["=", "<", "<=", ">", ">=", "= ANY"];
        let operator = conjunct.operator.as_deref().filter(|operator| SERVED.contains(operator))?;
        let right = conjunct.right.as_ref().filter(|_| !conjunct.negated && !operator.is_empty())?;
        let (expression, value) = match (is_constant(&conjunct.left), is_constant(right)) {
            (false, true) => (&conjunct.left, right),
            (true, false) if operator != "= ANY" => (right, &conjunct.left),
            _ => return None,
        };
        let [(_, name)] = expression.columns()[..] else { return None };
        let column = table.columns.iter().find(|column| column.name.raw() == name)?;
        (!is_bare(facts, expression, column)).then_some(Wrapped { conjunct, expression, value, column })
    }

    fn parts(&self) -> Parts<'_> {
        Parts {
            expression: self.expression,
            operator: self.conjunct.operator.as_deref().unwrap_or("="),
            value: self.value,
            column: self.column,
            flipped: std::ptr::eq(self.value, &self.conjunct.left),
        }
    }
}

/// The column, or a cast of it that leaves its bytes as they are: an index does not mind.
fn is_bare(facts: &Facts, expression: &Operand, column: &Column) -> bool {
    use OperandKind::{Cast, Column as Bare};
    let catalog = facts.catalog();
    match &expression.kind {
        Bare { .. } => true,
        Cast { of, to } if matches!(of.kind, Bare { .. }) => {
            let from = catalog.type_of(catalog.base_type(column.type_oid)).map_or("", |type_| type_.name.as_str());
            let relabelled = [
                ("character varying", "text"),
                ("text", "character varying"),
                ("cidr", "inet"),
                ("name", "text"),
                ("integer", "oid"),
                ("oid", "integer"),
            ];
            from == to || from.is_empty() || relabelled.iter().any(|(a, b)| from.starts_with(a) && to.starts_with(b))
        }
        _ => false,
    }
}

/// An index that the bare column leads; None where an index holds the expression.
fn unused_index<'a>(facts: &Facts, table: &'a Table, conjunct: &Conjunct) -> Option<&'a Index> {
    let wrapped = Wrapped::of(facts, table, conjunct)?;
    let name = wrapped.column.name.raw();
    let usable = || table.indexes.iter().filter(|index| index.is_usable() && index.predicate.is_none());
    let on_expression = |index: &Index| {
        let expressions = index.expressions.as_deref().unwrap_or_default();
        let is_within = |c: char| c.is_alphanumeric() || c == '_';
        let named = match name.chars().all(is_within) {
            true => expressions.split(|c| !is_within(c)).any(|word| word == name),
            false => expressions.contains(name),
        };
        index.keys.first().is_some_and(|key| key.attribute == 0) && named
    };
    let leads = |index: &&Index| {
        matches!(&*index.method, "btree" | "hash")
            && index.keys.first().is_some_and(|key| key.attribute == wrapped.column.number)
    };
    if usable().any(on_expression) {
        return None;
    }
    usable().find(leads)
}

/// The step of the advice that is an index on an expression, and serves the scan.
fn index_on_expression(facts: &Facts, node: usize, table: &Table) -> Option<usize> {
    let steps = &facts.index_advice().selection.steps;
    let on_expression =
        |step: &Step| step.candidate.keys.first().is_some_and(|key| matches!(key.part, Part::Expression(_)));
    facts
        .explained()
        .steps_of(node)
        .find(|place| on_expression(&steps[*place]) && steps[*place].candidate.table == table.oid)
}

/// What can be said of each form.
impl Form {
    fn note(&self) -> String {
        if self.note.is_empty() { ".".to_string() } else { format!(" ({}).", self.note) }
    }

    fn advice(&self) -> String {
        match &self.rewritten {
            Some(condition) => format!("{} The same with the column bare: {condition}{}", self.why, self.note()),
            None => format!("{} It can be served by an index on the expression, if all in it is IMMUTABLE.", self.why),
        }
    }
}
