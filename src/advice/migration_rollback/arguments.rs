//! The arguments of CREATE FUNCTION, from its text.

/// Each as DROP ROUTINE takes it: without its default. None: there is no list.
pub fn of_function(text: &str) -> Option<Vec<String>> {
    let list = in_parentheses(text)?;
    let arguments = split(list).into_iter().map(|argument| without_default(argument).trim().to_string());
    Some(arguments.filter(|argument| !argument.is_empty()).collect())
}

/// How the type of each input argument may be spelled: the words may begin with the argument's name, or be all type.
pub fn types(arguments: &[String]) -> Vec<Vec<String>> {
    let mut types = Vec::new();
    for argument in arguments {
        let mut words: Vec<&str> = argument.split_whitespace().collect();
        match words.first().map(|word| word.to_lowercase()).as_deref() {
            Some("out") => continue,
            Some("in" | "inout" | "variadic") if words.len() > 1 => drop(words.remove(0)),
            _ => {}
        }
        let whole = words.join(" ");
        let unnamed = words.get(1..).filter(|rest| !rest.is_empty()).map(|rest| rest.join(" "));
        types.push([Some(whole), unnamed].into_iter().flatten().collect());
    }
    types
}

fn in_parentheses(text: &str) -> Option<&str> {
    let begin = text.find('(')?;
    let rest = &text[begin + 1..];
    let end = top_level(rest).find(|(depth, _, c)| *depth < 0 && *c == ')')?.1;
    Some(&rest[..end])
}

/// Characters outside quotes, with the depth of parentheses after them.
fn top_level(text: &str) -> impl Iterator<Item = (i32, usize, char)> {
    let (mut depth, mut quote) = (0, None);
    text.char_indices().filter_map(move |(at, c)| {
        match (quote, c) {
            (Some(open), _) if open == c => quote = None,
            (Some(_), _) => return None,
            (None, '\'' | '"') => quote = Some(c),
            (None, '(' | '[') => depth += 1,
            (None, ')' | ']') => depth -= 1,
            _ => {}
        }
        Some((depth, at, c))
    })
}

fn split(list: &str) -> Vec<&str> {
    let commas = top_level(list).filter(|(depth, _, c)| *depth == 0 && *c == ',').map(|(_, at, _)| at);
    let mut from = 0;
    let mut parts = Vec::new();
    for comma in commas {
        parts.push(&list[from..comma]);
        from = comma + 1;
    }
    parts.push(&list[from..]);
    parts
}

fn without_default(argument: &str) -> &str {
    let begins = |at: usize| {
        let rest = &argument[at..];
        rest.starts_with('=')
            || rest.starts_with(":=")
            || rest.get(..9).is_some_and(|word| {
                word[..8].eq_ignore_ascii_case(" default") && !word.ends_with(|c: char| c.is_alphanumeric() || c == '_')
            })
    };
    let flat = argument.replace(['\n', '\t', '\r'], " ");
    let end = top_level(&flat).find(|(depth, at, _)| *depth == 0 && argument.is_char_boundary(*at) && begins(*at));
    end.map_or(argument, |(_, at, _)| &argument[..at])
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn arguments_lose_their_defaults() {
        let of = |text: &str| of_function(text).unwrap();
        assert_eq!(
            of("create function f(a int default 1, b numeric(10, 2) = 3, text)"),
            ["a int", "b numeric(10, 2)", "text"]
        );
        assert_eq!(of("create function \"f,\"() returns int"), Vec::<String>::new());
        assert_eq!(of("create function f(a text DEFAULT 'x,)')"), ["a text"]);
        assert_eq!(of_function("create function f"), None);
    }

    #[test]
    fn types_are_tried_with_and_without_the_first_word() {
        let types = types(&["in a double precision".into(), "out b int".into(), "text".into()]);
        assert_eq!(types, [vec!["a double precision", "double precision"], vec!["text"]]);
    }
}
