//! What the model cannot know: objects that the migration's own code may make.

use super::Model;
use crate::facts::migration::text::Parsed;
use crate::facts::migration::{NameAsWritten, ObjectKind, Statement};
use crate::measure::migration::Prediction;
use std::rc::Rc;

impl Model {
    /// What the statement, which has run, leaves of which the model does not know.
    pub fn note_unknown(&mut self, parsed: &Parsed) {
        match &parsed.statement {
            Statement::CreateExtension { name, .. } if !self.names.extensions.contains(name.as_str()) => {
                Rc::make_mut(&mut self.names).extensions.insert(name.as_str().into());
                self.unknown = Some(format!("the extension {name}"));
            }
            Statement::Do { dynamic: true, .. } => self.unknown = Some("a DO block".to_string()),
            Statement::Call { procedure } => self.unknown = Some(format!("the procedure {}", procedure.join("."))),
            Statement::CreateFunction { name, body, .. } => {
                let body = body.as_deref().unwrap_or("");
                let clauses = parsed.text.replace(body, " ").to_lowercase();
                let says = |word: &str| clauses.split_whitespace().any(|one| one.trim_end_matches(';') == word);
                let volatility = match () {
                    () if says("immutable") => 'i',
                    () if says("stable") => 's',
                    () => 'v',
                };
                let made = Rc::make_mut(&mut self.made_functions);
                made.extend(name.last().map(|name| (name.clone(), volatility)));
            }
            _ => {}
        }
    }

    /// The statement fails for what is not there, or cannot be judged where the migration's own code may have made it.
    pub fn missing(&self, prediction: &mut Prediction, kind: ObjectKind, name: &NameAsWritten) {
        let written: Vec<String> =
            name.schema.iter().chain([&name.name]).map(|part| crate::db::quote_identifier(part)).collect();
        match &self.unknown {
            None => prediction.missing(kind, written.join(".")),
            Some(code) => {
                prediction.not_judged(format!("{} does not exist yet; {code} may make it", written.join(".")))
            }
        }
    }
}
