//! GRANT and REVOKE turned round, from their text.

/// The other of the two. What it took away beyond what was given must be given again. None: of a form that cannot be turned.
pub fn reverse_of_grant(text: &str) -> Option<String> {
    let mut words: Vec<&str> = text.trim().trim_end_matches(';').split_whitespace().collect();
    if !words.first()?.eq_ignore_ascii_case("grant") {
        return None;
    }
    let is = |word: &&str, other: &str| word.eq_ignore_ascii_case(other);
    if let Some(with) = words.iter().rposition(|word| is(word, "with")) {
        words.truncate(with);
    }
    if let Some(granted) = words.windows(2).rposition(|pair| is(&pair[0], "granted") && is(&pair[1], "by")) {
        words.truncate(granted);
    }
    let to = words.iter().rposition(|word| is(word, "to"))?;
    words[0] = "REVOKE";
    words[to] = "FROM";
    Some(format!("{};", words.join(" ")))
}

#[cfg(test)]
mod unit_tests {
    use super::reverse_of_grant;

    #[test]
    fn grants_are_revoked() {
        let reverse = reverse_of_grant("grant select, update (a)\n on t, s.u to r, public with grant option;");
        assert_eq!(reverse.as_deref(), Some("REVOKE select, update (a) on t, s.u FROM r, public;"));
        assert_eq!(reverse_of_grant("revoke all on t from r"), None);
    }
}
