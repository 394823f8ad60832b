//! A strong lock is waited for in short attempts: what waits longer makes everybody behind it wait.

use super::batches::quoted_body;
use std::time::Duration;

/// How long a strong lock is waited for, and how often again.
pub struct Patience {
    pub lock_timeout: Duration,
    /// 0: the statement fails instead.
    pub retries: i32,
}

impl Patience {
    /// As a setting: `2s`.
    pub fn timeout(&self) -> String {
        match self.lock_timeout.as_millis().max(1) {
            ms if ms % 1000 == 0 => format!("{}s", ms / 1000),
            ms => format!("{ms}ms"),
        }
    }

    /// Statements of one transaction, tried again while their locks are not to be had. Between attempts nothing is locked.
    pub fn retried(&self, statements: &[&str]) -> String {
        let (attempts, timeout) = (self.retries + 1, self.timeout());
        let mut body = format!(
            "
BEGIN
    FOR attempt IN 1 .. {attempts} LOOP
        BEGIN
            SET LOCAL lock_timeout = '{timeout}';
"
        );
        for statement in statements {
            body.push_str("            ");
            // Its result is nobody's.
            let statement = match statement.strip_prefix("SELECT ") {
                Some(rest) => &format!("PERFORM {rest}"),
                None => *statement,
            };
            body.push_str(statement.trim_end().trim_end_matches(';'));
            body.push_str(";\n");
        }
        body.push_str(&format!(
            "            RETURN;
        EXCEPTION WHEN lock_not_available THEN
            IF attempt = {attempts} THEN
                RAISE;
            END IF;
        END;
        COMMIT;
        PERFORM pg_catalog.pg_sleep(1);
    END LOOP;
END
"
        ));
        format!("DO {};", quoted_body(&body))
    }
}
