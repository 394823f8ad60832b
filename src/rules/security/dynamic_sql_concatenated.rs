use crate::advice::dynamic_sql::{Concatenation, concatenations};
use crate::facts::{DynamicFunction, Facts};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};
use serde_json::json;

pub static RULE: Rule = Rule {
    id: "dynamic_sql_concatenated",
    category: "security",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A function in PL/pgSQL concatenates (||) a parameter of a string type into the text that EXECUTE runs, as it is: \
                not through quote_ident(), quote_literal(), quote_nullable() or format(), nor cast to another type. Judged are \
                the expression of EXECUTE and what is assigned to the variable that it names. High where the function is \
                SECURITY DEFINER. Functions of extensions are left out.",
    effect: "Whoever chooses the parameter's value chooses SQL that runs with the rights of the function: those of its owner, \
             where it is SECURITY DEFINER.",
    workaround: "Hand values over with USING; put names in by format('%I', …). A parameter that is meant to be SQL should not come \
                 from a client.",
    sources: &[
        "https://www.postgresql.org/docs/17/plpgsql-statements.html#PLPGSQL-STATEMENTS-EXECUTING-DYN",
        "https://www.postgresql.org/docs/17/sql-createfunction.html#SQL-CREATEFUNCTION-SECURITY",
    ],
    options: &[],
    needs: &[Need::DynamicFunctions],
    cases: &[
        Case {
            name: "a value between quotes, and a name",
            setup: "create function f(p_name text, p_id int) returns void language plpgsql as $$ begin execute 'update t set a = 1 \
                    where name = ''' || p_name || ''' and id = ' || p_id; end $$; create function g(p_table varchar) returns void \
                    language plpgsql security definer as $$ declare q text; begin q := 'truncate ' || p_table; execute q; end $$",
            finds: 2,
            fix_clears: false,
        },
        Case {
            name: "quoted, cast, numbers, USING, no concatenation",
            setup: "create function f(p_name text, p_id int) returns void language plpgsql as $$ begin execute 'select from ' || \
                    quote_ident(p_name) || ' where id = ' || p_id; execute format('select from %I', p_name || '_old'); execute \
                    'select from ' || p_name::regclass; execute 'select $1' using 'a' || p_name; raise notice '%', 'a' || p_name; \
                    end $$",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _options: &Options) -> Verdict {
    let findings = facts.dynamic_functions().iter().filter_map(|function| {
        let found = concatenations(&function.source, &function.text_parameters);
        (!found.is_empty()).then(|| finding(function, &found))
    });
    Ok(findings.collect())
}

fn finding(function: &DynamicFunction, found: &[Concatenation]) -> Finding {
    let signature = format!("{}({})", function.name, function.arguments);
    let mut parameters: Vec<&str> = found.iter().map(|found| found.parameter.as_str()).collect();
    parameters.sort_unstable();
    parameters.dedup();
    let parameters = parameters.join(", ");
    let rights = if function.security_definer { "its owner" } else { "whoever calls it" };
    let callers =
        if function.public { "Everyone who may use its schema may call it." } else { "PUBLIC may not call it." };
    let places = found
        .iter()
        .map(|found| json!({"line": found.line, "parameter": found.parameter, "expression": found.expression}));
    Finding {
        severity: if function.security_definer { Severity::high } else { RULE.severity },
        summary: format!("{signature} executes SQL with {parameters} concatenated into it"),
        cause: format!(
            "{} is executed, so that the value of {} is read as SQL, with the rights of {rights}. {callers}",
            found[0].expression, found[0].parameter
        ),
        evidence: object! {
            "places": places.collect::<Vec<_>>(),
            "security_definer": function.security_definer,
            "public_may_execute": function.public,
        },
        app_fix: Some("EXECUTE … USING for values, format('%I', …) for names.".to_string()),
        object: signature,
        ..Finding::that_changes_nothing()
    }
}
