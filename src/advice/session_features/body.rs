//! Bodies of functions and DO blocks in SQL and PL/pgSQL.

use super::{SessionFeature, Token, command, everywhere, tokens};
use crate::facts::migration::text::lexer::{Kind, dollar_mark};

/// What the body of a function or a DO block uses. SELECT INTO and EXECUTE are not those of SQL there.
pub fn of_body(body: &str) -> Vec<SessionFeature> {
    let tokens = tokens(body);
    let begins = |token: &Token| {
        token.is(";") || ["begin", "atomic", "then", "else", "loop"].iter().any(|word| token.word(word))
    };
    let mut features = everywhere(&tokens);
    for statement in tokens.split(begins).filter(|statement| !statement.is_empty()) {
        match statement[0].name().as_deref() {
            Some("select" | "with" | "prepare" | "declare") => {}
            Some("execute") => features.extend(string(statement).iter().flat_map(|text| SessionFeature::of(text))),
            _ => features.extend(command(statement)),
        }
    }
    features
}

/// The longest string: in DO, what it runs; in EXECUTE, what is filled in.
pub fn string(tokens: &[Token]) -> Option<String> {
    let strings = tokens.iter().filter(|token| token.kind == Kind::String);
    strings.max_by_key(|token| token.text.len()).map(|token| contents(token.text))
}

/// It may have been cut off.
fn contents(string: &str) -> String {
    match dollar_mark(string.as_bytes()).and_then(|mark| std::str::from_utf8(mark).ok()) {
        Some(mark) => string[mark.len()..].trim_end_matches(mark).to_string(),
        None => {
            let open = string.find('\'').map_or(0, |quote| quote + 1);
            string[open..].trim_end_matches('\'').replace("''", "'")
        }
    }
}

#[cfg(test)]
mod unit_tests {
    use super::*;
    use SessionFeature::*;

    #[test]
    fn bodies() {
        for (body, features) in [
            ("begin perform pg_advisory_lock(1); end", vec![AdvisoryLock]),
            ("begin perform pg_advisory_xact_lock(1); end", vec![]),
            ("begin if x then listen jobs; else set role app; end if; end", vec![Listen, Role]),
            ("begin create temp table if not exists t (a int); end", vec![TemporaryTable]),
            ("begin create temp table t (a int) on commit drop; end", vec![]),
            ("declare temp int; begin select a into temp from t; select into temp a from t; end", vec![]),
            ("begin perform set_config('app.tenant', x, false); end", vec![Setting]),
            ("begin perform set_config('app.tenant', x, true); set local work_mem = '1GB'; end", vec![]),
            ("begin execute 'listen ' || quote_ident(x); end", vec![Listen]),
            ("begin execute format($q$set lock_timeout = %L$q$, x); end", vec![Timeout]),
            ("begin execute 'select 1' using x; end", vec![]),
            ("select pg_try_advisory_lock($1)", vec![AdvisoryLock]),
            ("begin raise notice 'then listen jobs'; end", vec![]),
        ] {
            assert_eq!(SessionFeature::of_body(body), features, "{body}");
        }
    }

    #[test]
    fn blocks() {
        for (block, features) in [
            ("do $$ begin perform pg_advisory_lock(1); listen jobs; end $$", vec![Listen, AdvisoryLock]),
            ("DO LANGUAGE plpgsql 'begin execute ''listen jobs''; end'", vec![Listen]),
            ("do $x$ begin listen jobs; and so on, cut off", vec![Listen]),
            ("do $$ begin perform 1; end $$ language 'plpgsql'", vec![]),
        ] {
            assert_eq!(SessionFeature::of(block), features, "{block}");
        }
    }
}
