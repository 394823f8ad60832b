//! What the wait events of a session mean, and what helps when many sessions wait so.

mod io;
mod ipc;
mod lwlock;
mod others;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// What the session does, as the end of "the session …".
    pub means: &'static str,
    /// What to do when many wait so. None: it is no trouble by itself.
    pub remedy: Option<&'static str>,
}

/// Events that mean the same; what they mean; what to do, or nothing.
type Entry = (&'static [&'static str], &'static str, &'static str);

/// None: no event of PostgreSQL 17 (a later server's, or an extension's own).
pub fn meaning(kind: &str, event: &str) -> Option<Meaning> {
    let entries = match kind {
        "LWLock" => lwlock::ENTRIES,
        "IO" => io::ENTRIES,
        "IPC" => ipc::ENTRIES,
        "Lock" => others::LOCK,
        "Client" => others::CLIENT,
        "Timeout" => others::TIMEOUT,
        "Activity" => others::ACTIVITY,
        "BufferPin" => others::BUFFER_PIN,
        "Extension" => others::EXTENSION,
        _ => return None,
    };
    // The same event is spelled WALSync by some servers and WalSync by others.
    let named = |(events, _, _): &&Entry| events.iter().any(|name| name.eq_ignore_ascii_case(event));
    // Extensions name locks of their own; only those that every server has are known.
    entries
        .iter()
        .find(named)
        .map(|(_, means, remedy)| Meaning { means, remedy: (!remedy.is_empty()).then_some(*remedy) })
}

/// As `meaning`; for what is not known, what all events of its kind have in common.
pub fn meaning_or_kind(kind: &str, event: &str) -> Meaning {
    let means = match kind {
        "LWLock" => "waits for a short lock on shared memory, named by an extension or a newer server",
        "IO" => "waits for a file",
        "IPC" => "waits for another process of the server",
        "Lock" => "waits for a lock that another session holds",
        "Client" => "waits for its client",
        "Timeout" => "waits for a time to pass",
        "Activity" => "is a process of the server that has nothing to do",
        "Extension" => "waits in an extension",
        _ => "waits for what this server does not document",
    };
    meaning(kind, event).unwrap_or(Meaning { means, remedy: None })
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn no_event_has_two_meanings() {
        let kinds = [
            lwlock::ENTRIES,
            io::ENTRIES,
            ipc::ENTRIES,
            others::LOCK,
            others::CLIENT,
            others::TIMEOUT,
            others::ACTIVITY,
            others::BUFFER_PIN,
            others::EXTENSION,
        ];
        for entries in kinds {
            let mut names: Vec<String> =
                entries.iter().flat_map(|(events, _, _)| events.iter()).map(|name| name.to_lowercase()).collect();
            names.sort_unstable();
            let count = names.len();
            names.dedup();
            assert_eq!(names.len(), count);
        }
    }

    #[test]
    fn names_of_either_spelling_are_known() {
        assert_eq!(meaning("IO", "WALSync"), meaning("IO", "WalSync"));
        assert!(meaning("IO", "WalSync").is_some_and(|meaning| meaning.remedy.is_some()));
    }

    #[test]
    fn an_unknown_event_has_what_its_kind_means() {
        assert_eq!(meaning("LWLock", "of_an_extension"), None);
        assert!(meaning_or_kind("LWLock", "of_an_extension").means.contains("short lock"));
        assert!(meaning_or_kind("Future", "x").remedy.is_none());
    }
}
