use crate::facts::Facts;
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "no_reserved_connections",
    category: "pool",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "superuser_reserved_connections and reserved_connections, which superusers may take too, are together less than \
                min_reserved.",
    effect: "When the application has taken all connections, nobody can connect to see why and end some: only a restart helps.",
    workaround: "Set superuser_reserved_connections to 3 or more, and reserved_connections for roles that monitor; both need a restart.",
    sources: &["https://www.postgresql.org/docs/17/runtime-config-connection.html#GUC-SUPERUSER-RESERVED-CONNECTIONS"],
    options: &[OptionSpec::number("min_reserved", (1.0, "connections"), (0.0, 1e6), "Fewer reserved is a finding.")],
    needs: &[Need::Activity],
    cases: &[
        Case {
            name: "fewer than wanted",
            setup: "select dbre.configure_rule('no_reserved_connections', options => '{\"min_reserved\": 1000}')",
            finds: 1,
            fix_clears: false,
        },
        Case { name: "three, the default", setup: "", finds: 0, fix_clears: false },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let slots = &facts.activity().slots;
    let few = ((slots.superuser_reserved + slots.reserved) as f64) < options.number("min_reserved");
    Ok(few.then(|| judge(facts, options)).into_iter().collect())
}

fn judge(facts: &Facts, options: &Options) -> Finding {
    let slots = &facts.activity().slots;
    let wanted = options.number("min_reserved").max(3.0);
    Finding {
        severity: RULE.severity,
        object: "superuser_reserved_connections".to_string(),
        summary: format!(
            "{} of {} connections are reserved for superusers",
            slots.superuser_reserved, slots.max_connections
        ),
        cause: format!(
            "superuser_reserved_connections is {}, reserved_connections {}. ALTER SYSTEM SET superuser_reserved_connections = {wanted} \
             changes it at the next restart; it takes {} of the connections that ordinary users can take now.",
            slots.superuser_reserved,
            slots.reserved,
            wanted - slots.superuser_reserved as f64
        ),
        evidence: object! {
            "max_connections": slots.max_connections,
            "superuser_reserved_connections": slots.superuser_reserved,
            "reserved_connections": slots.reserved,
            "taken": facts.activity().slots_taken(),
        },
        ..Finding::that_changes_nothing()
    }
}
