use crate::advice::plan_conditions::{called, calls, functions, is_constant, tested_per_row};
use crate::advice::plan_weight::{finding, shown};
use crate::facts::plan::{Operand, OperandKind, conjuncts};
use crate::facts::{Explained, Facts, Name, PlannedTable, Policy, Volatility};
use crate::finding::{Finding, Rollback, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::rules::function_per_row::{rows_tested, share_of_calls};
use crate::units::listing;
use std::collections::BTreeSet;

pub static RULE: Rule = Rule {
    id: "row_security_per_row",
    category: "plan",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "The USING expression of a policy of row security calls a function without a column among its arguments, such as \
                current_setting() or one that returns the current user's tenant, not within a scalar subquery, and a scan tested it \
                for at least min_calls rows.",
    effect: "The function is called for each row of every query on the table; that the policy's condition comes first may also keep an \
             index from being used.",
    workaround: "Wrap the call: USING (tenant = (SELECT current_tenant())). The subquery is evaluated once for each query.",
    sources: &[
        "https://www.postgresql.org/docs/17/ddl-rowsecurity.html",
        "https://www.postgresql.org/docs/17/xfunc-volatility.html",
    ],
    options: &[OptionSpec::number("min_calls", (1000.0, "calls"), (2.0, 1e12), "Fewer are left alone.")],
    needs: &[Need::Catalog, Need::Plan],
    cases: &[
        Case {
            name: "a policy that asks for the current tenant",
            setup: "create function current_tenant() returns int stable language plpgsql as $$ begin return \
                    coalesce(nullif(current_setting('app.tenant', true), ''), '7')::int; end $$; create table t (id int primary key, \
                    tenant int); insert into t select g, g % 20 from generate_series(1, 50000) g; vacuum analyze t; alter table t \
                    enable row level security; alter table t force row level security; create policy \"own Rows\" on t using (tenant \
                    = current_tenant()); create table example as select 'select count(*) from t' as query, true as analyze; select \
                    'tenant of ' || current_database() as tenant \\gset\ncreate role :\"tenant\"; grant pg_monitor to :\"tenant\"; \
                    grant create, usage on schema public to :\"tenant\"; alter table t owner to :\"tenant\"; alter table example owner \
                    to :\"tenant\"; alter database :\"DBNAME\" set role = :\"tenant\"",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "a policy that asks once for each query, and a table whose owner is not subject to it",
            setup: "create table t (id int primary key, tenant int); insert into t select g, g % 20 from generate_series(1, 50000) g; \
                    vacuum analyze t; alter table t enable row level security; alter table t force row level security; create policy \
                    own on t using (tenant = (select current_setting('app.tenant', true)::int)); create table u (id int primary key, \
                    tenant int); insert into u table t; alter table u enable row level security; create policy own on u using (tenant \
                    = current_setting('app.tenant', true)::int); vacuum analyze u; create table example as select 'select count(*) \
                    from t join u using (id)' as query, true as analyze; select 'tenant of ' || current_database() as tenant \
                    \\gset\ncreate role :\"tenant\"; grant pg_monitor to :\"tenant\"; alter table t owner to :\"tenant\"; alter table \
                    u owner to :\"tenant\"; alter table example owner to :\"tenant\"; alter database :\"DBNAME\" set role = \
                    :\"tenant\"",
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

fn judge(facts: &Facts, options: &Options, node: usize) -> Option<Finding> {
    let explained = facts.explained();
    let (oid, table) = secured(facts, node)?;
    let bare = bare_calls(explained, table, node);
    let (tests, asked) = (rows_tested(facts, node), options.number("min_calls"));
    if bare.is_empty() || tests < asked {
        return None;
    }
    let all: Vec<&str> = bare.iter().flat_map(|(_, calls)| calls.iter().map(String::as_str)).collect();
    let cost = |call: &&str| {
        let name = call.split('(').next().unwrap_or(call);
        functions(explained, name).first().map_or(1.0, |function| function.cost)
    };
    let explains = share_of_calls(facts, node, tests * all.iter().map(cost).sum::<f64>());
    let mut finding = finding(facts, node, explains)?;
    let name = facts.catalog().known(oid)?.name.to_string();
    let policies: Vec<&str> = bare.iter().map(|(policy, _)| policy.name.as_str()).collect();
    let calls: BTreeSet<&str> = all.iter().copied().collect();
    let calls: Vec<&str> = calls.into_iter().collect();
    finding.summary = format!(
        "Row security of {name} calls {} for each of {} rows: about {}",
        listing(&calls),
        shown(tests),
        explains.told()
    );
    let volatile = calls.iter().any(|call| is_volatile(explained, call));
    finding.cause = format!(
        "The USING expression of policy {} has a call that does not depend on the row, and the server makes it anew for each row. In a \
         scalar subquery, (SELECT …), it is made once for each query.{}",
        listing(&policies),
        match volatile {
            true =>
                " A function among them is VOLATILE: only if it changes nothing and returns the same within a statement is the other \
                 form the same. Declare it STABLE then.",
            false => "",
        },
    );
    finding.evidence.extend(object! { "calls_per_query": tests.round(), "policies": policies, "functions": calls });
    if !volatile {
        let statement =
            |policy: &Policy, using: &str| format!("ALTER POLICY {} ON {name} USING ({using});", policy.name);
        let fixes = bare.iter().map(|(policy, calls)| statement(policy, &wrapped(policy, calls)));
        finding.fix_sql = Some(fixes.collect::<Vec<_>>().join("\n"));
        let back = bare.iter().map(|(policy, _)| statement(policy, policy.using.as_deref().unwrap_or("true")));
        finding.rollback = Rollback::Sql(back.collect::<Vec<_>>().join("\n"));
        finding.risk = "ALTER POLICY takes ACCESS EXCLUSIVE on the table for a moment: it waits for running queries, and new ones wait \
                        behind it. Set lock_timeout. The rows that the policy lets through stay the same: the functions are STABLE."
            .to_string();
        if !table.owned {
            finding.risk += " Only the table's owner may run it.";
        }
        let names: Vec<String> = policies.iter().map(|name| unquoted(name)).collect();
        finding.verify_sql = Some(format!(
            "SELECT pg_catalog.pg_get_expr(polqual, polrelid) ILIKE '%select%' AS wrapped FROM pg_catalog.pg_policy WHERE polrelid = \
             {}::pg_catalog.regclass AND polname IN ({});",
            crate::db::quote_literal(&name),
            names.iter().map(|name| crate::db::quote_literal(name)).collect::<Vec<_>>().join(", ")
        ));
    }
    Some(finding)
}

fn unquoted(name: &str) -> String {
    match name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) => inner.replace("\"\"", "\""),
        None => Name::from(name.to_string()).raw().to_string(),
    }
}

fn is_volatile(explained: &Explained, call: &str) -> bool {
    let named = functions(explained, call.split('(').next().unwrap_or(call));
    named.is_empty() || named.iter().any(|function| function.volatility == Volatility::Volatile)
}

/// The table that the query names: of a partition the one above whose policies apply.
fn secured(facts: &Facts, node: usize) -> Option<(u32, &PlannedTable)> {
    let explained = facts.explained();
    let above = std::iter::successors(explained.tables[node], |oid| facts.catalog().known(*oid)?.parent);
    let statistics = above.filter_map(|oid| Some((oid, explained.statistics.get(&oid)?)));
    statistics.into_iter().find(|(_, table)| table.row_security)
}

/// The call in the node's filter stands in a policy of its table.
pub fn is_of_policy(facts: &Facts, node: usize, call: &Operand) -> bool {
    secured(facts, node).is_some_and(|(_, table)| {
        table.policies.iter().any(|policy| {
            let using = conjuncts(policy.using.as_deref().unwrap_or_default());
            calls(&using).into_iter().any(|in_policy| are_alike(in_policy, call))
        })
    })
}

/// The same function with as many arguments: one text may have its schema, the other not.
fn are_alike(one: &Operand, other: &Operand) -> bool {
    match (&one.kind, &other.kind) {
        (OperandKind::Call { function: a, arguments: of_a }, OperandKind::Call { function: b, arguments: of_b }) => {
            a.rsplit('.').next() == b.rsplit('.').next() && of_a.len() == of_b.len()
        }
        _ => false,
    }
}

/// Policies with the calls in them that neither depend on the row nor are in a subquery, and that the node makes.
fn bare_calls<'a>(explained: &Explained, table: &'a PlannedTable, node: usize) -> Vec<(&'a Policy, Vec<String>)> {
    let conditions = tested_per_row(explained.node(node));
    let made = calls(&conditions);
    let of = |policy: &'a Policy| {
        let using = conjuncts(policy.using.as_deref()?);
        let mut bare: Vec<String> = Vec::new();
        for call in calls(&using).into_iter().filter(|call| is_constant(call) && depends_on_session(explained, call)) {
            // The outer call of several: what is in it is wrapped with it.
            if made.iter().any(|made| are_alike(made, call)) && !bare.iter().any(|outer| outer.contains(&call.text)) {
                bare.push(call.text.clone());
            }
        }
        (!bare.is_empty()).then_some((policy, bare))
    };
    table.policies.iter().filter_map(of).collect()
}

/// Immutable functions of constants are evaluated when planning.
fn depends_on_session(explained: &Explained, call: &Operand) -> bool {
    let Some(name) = called(call) else { return false };
    let named = functions(explained, name);
    // CURRENT_USER and its like are none, and cost nothing.
    !named.is_empty() && named.iter().all(|function| function.volatility != Volatility::Immutable)
}

fn wrapped(policy: &Policy, calls: &[String]) -> String {
    let using = policy.using.clone().unwrap_or_default();
    calls.iter().fold(using, |using, call| {
        let mut text = String::new();
        let mut rest = using.as_str();
        while let Some(at) = rest.find(call.as_str()) {
            let (before, from) = rest.split_at(at);
            text += before;
            let within_word =
                before.chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '.' || c == '"');
            let in_subquery = before.trim_end().to_lowercase().ends_with("select");
            text += &if within_word || in_subquery { call.clone() } else { format!("(SELECT {call})") };
            rest = &from[call.len()..];
        }
        text + rest
    })
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    fn wrap(using: &str, call: &str) -> String {
        let policy = Policy { using: Some(using.to_string()), ..Policy::default() };
        wrapped(&policy, &[call.to_string()])
    }

    #[test]
    fn calls_are_wrapped_where_they_are_bare() {
        assert_eq!(wrap("(owner = f())", "f()"), "(owner = (SELECT f()))");
        assert_eq!(wrap("((owner = f()) OR (x = gf()))", "f()"), "((owner = (SELECT f())) OR (x = gf()))");
        assert_eq!(wrap("(owner = ( SELECT f() AS f))", "f()"), "(owner = ( SELECT f() AS f))");
        assert_eq!(
            wrap("(tenant = (current_setting('app.t'::text))::integer)", "current_setting('app.t'::text)"),
            "(tenant = ((SELECT current_setting('app.t'::text)))::integer)"
        );
    }
}
