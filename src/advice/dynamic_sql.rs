//! SQL that a function in PL/pgSQL puts together of strings and executes.

/// A parameter that becomes part of SQL as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Concatenation {
    pub parameter: String,
    /// The expression that it is part of.
    pub expression: String,
    /// Line of the body, from 1.
    pub line: usize,
}

/// Parameters, by name, that `source` concatenates into what EXECUTE runs, neither quoted nor cast: in the expression behind
/// EXECUTE itself, or in what is assigned to the variable that it names. One for each expression and parameter.
pub fn concatenations(source: &str, parameters: &[String]) -> Vec<Concatenation> {
    let tokens = tokens(source);
    let executed = executed(&tokens);
    let variables: Vec<String> = executed.iter().filter_map(|expression| variable(expression)).collect();
    let assigned = statements(&tokens).filter_map(|statement| {
        let (name, expression) = assignment(statement)?;
        variables.iter().any(|variable| variable.eq_ignore_ascii_case(&name)).then_some(expression)
    });
    let mut found: Vec<Concatenation> = Vec::new();
    for expression in executed.iter().copied().chain(assigned) {
        let operands: Vec<&[Token]> = operands(expression);
        if operands.len() < 2 {
            continue;
        }
        for operand in operands {
            let Some(name) = variable(operand) else { continue };
            let Some(parameter) = parameters.iter().find(|parameter| parameter.eq_ignore_ascii_case(&name)) else {
                continue;
            };
            let text = &source[expression[0].at..expression[expression.len() - 1].end];
            let line = source[..expression[0].at].matches('\n').count() + 1;
            let one = Concatenation { parameter: parameter.clone(), expression: text.to_string(), line };
            if !found.contains(&one) {
                found.push(one);
            }
        }
    }
    found
}

#[derive(Clone, Copy, Debug)]
struct Token<'a> {
    kind: Kind,
    text: &'a str,
    at: usize,
    end: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Word,
    String,
    Other,
}

/// Without comments and space.
fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = source[at..].chars().next() {
        let rest = &source[at..];
        let (kind, length) = match first {
            _ if rest.starts_with("--") => (None, rest.find('\n').unwrap_or(rest.len())),
            _ if rest.starts_with("/*") => (None, rest.find("*/").map_or(rest.len(), |end| end + 2)),
            _ if first.is_whitespace() => (None, first.len_utf8()),
            '\'' if source[..at].ends_with(['e', 'E']) => (Some(Kind::String), escaped(rest)),
            '\'' => (Some(Kind::String), quoted(rest, '\'')),
            '"' => (Some(Kind::Word), quoted(rest, '"')),
            '$' => match dollar_quoted(rest) {
                Some(length) => (Some(Kind::String), length),
                None => (Some(Kind::Word), 1 + word(&rest[1..])),
            },
            _ if first.is_alphanumeric() || first == '_' => (Some(Kind::Word), word(rest)),
            _ if rest.starts_with("||") || rest.starts_with(":=") || rest.starts_with("::") => (Some(Kind::Other), 2),
            _ => (Some(Kind::Other), first.len_utf8()),
        };
        if let Some(kind) = kind {
            tokens.push(Token { kind, text: &rest[..length], at, end: at + length });
        }
        at += length;
    }
    tokens
}

/// Up to the end of what a doubled quote does not end.
fn quoted(rest: &str, quote: char) -> usize {
    let mut end = 1;
    while let Some(next) = rest[end..].find(quote) {
        end += next + 1;
        if !rest[end..].starts_with(quote) {
            return end;
        }
        end += 1;
    }
    rest.len()
}

/// `E'it\'s'`
fn escaped(rest: &str) -> usize {
    let mut characters = rest.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => drop(characters.next()),
            '\'' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

fn dollar_quoted(rest: &str) -> Option<usize> {
    let tag = rest[1..].find('$').map(|end| &rest[..end + 2])?;
    let is_tag = tag[1..tag.len() - 1].chars().all(|c| c.is_alphanumeric() || c == '_');
    let begins_with_digit = tag[1..].starts_with(|c: char| c.is_ascii_digit());
    let body = rest[tag.len()..].find(tag).filter(|_| is_tag && !begins_with_digit)?;
    Some(tag.len() + body + tag.len())
}

fn word(rest: &str) -> usize {
    rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '$').unwrap_or(rest.len())
}

fn statements<'t, 's>(tokens: &'t [Token<'s>]) -> impl Iterator<Item = &'t [Token<'s>]> {
    tokens.split(|token| token.text == ";")
}

/// What stands behind EXECUTE, up to INTO or USING. `GRANT EXECUTE ON` and `EXECUTE FUNCTION` are something else.
fn executed<'t, 's>(tokens: &'t [Token<'s>]) -> Vec<&'t [Token<'s>]> {
    let is = |token: &Token, word: &str| token.kind == Kind::Word && token.text.eq_ignore_ascii_case(word);
    let ends = ["into", "using", "loop"];
    let mut found = Vec::new();
    for statement in statements(tokens) {
        for (position, _) in statement.iter().enumerate().filter(|(_, token)| is(token, "execute")) {
            let rest = &statement[position + 1..];
            let end = rest.iter().position(|token| ends.iter().any(|word| is(token, word))).unwrap_or(rest.len());
            if end > 0 {
                found.push(&rest[..end]);
            }
        }
    }
    found
}

/// `name := expression`, `name = expression`, also in DECLARE.
fn assignment<'t, 's>(statement: &'t [Token<'s>]) -> Option<(String, &'t [Token<'s>])> {
    let last = |sign: &str| statement.iter().rposition(|token| token.text == sign);
    let sign = last(":=").or_else(|| last("="))?;
    let expression = &statement[sign + 1..];
    // What comes before may be BEGIN, THEN or ELSE; in a declaration the type follows the name.
    let name = match statement[..sign] {
        [.., name, type_] if type_.text.eq_ignore_ascii_case("text") => name,
        [.., name] => name,
        [] => return None,
    };
    (name.kind == Kind::Word && !expression.is_empty()).then(|| (unquoted(name.text), expression))
}

/// The sides of `||` at the top.
fn operands<'t, 's>(expression: &'t [Token<'s>]) -> Vec<&'t [Token<'s>]> {
    let mut depth = 0;
    let mut operands = Vec::new();
    let mut begin = 0;
    for (position, token) in expression.iter().enumerate() {
        match token.text {
            "(" | "[" => depth += 1,
            ")" | "]" => depth -= 1,
            "||" if depth == 0 => {
                operands.push(&expression[begin..position]);
                begin = position + 1;
            }
            _ => {}
        }
    }
    operands.push(&expression[begin..]);
    // All in parentheses: what is in them.
    match operands.as_slice() {
        [[first, inner @ .., last]] if first.text == "(" && last.text == ")" => self::operands(inner),
        _ => operands,
    }
}

/// The name that the expression is, be it qualified by that of the function, or cast to text.
fn variable(expression: &[Token]) -> Option<String> {
    let name = match expression {
        [name] => name,
        [_, dot, name] if dot.text == "." => name,
        [name, cast, type_] if cast.text == "::" && type_.text.eq_ignore_ascii_case("text") => name,
        _ => return None,
    };
    (name.kind == Kind::Word).then(|| unquoted(name.text))
}

fn unquoted(name: &str) -> String {
    match name.strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
        Some(name) => name.replace("\"\"", "\""),
        None => name.to_string(),
    }
}

#[cfg(test)]
mod unit_tests {
    use super::concatenations;

    fn found(source: &str) -> Vec<(String, usize)> {
        let parameters = ["p_name".to_string(), "$2".to_string()];
        concatenations(source, &parameters).into_iter().map(|found| (found.parameter, found.line)).collect()
    }

    #[test]
    fn parameters_in_the_text() {
        let one = |line| vec![("p_name".to_string(), line)];
        assert_eq!(found("begin\n execute 'drop table ' || p_name; end"), one(2));
        assert_eq!(
            found("begin for r in execute ('select 1 where a = ' || P_NAME || ' and b') using 1 loop end loop; end"),
            one(1)
        );
        assert_eq!(found("declare s text := 'select ' || f.p_name; begin\n execute s into x; end"), one(1));
        assert_eq!(found("begin\n if a = 1 then s = 'x' || p_name::text; end if; execute s; end"), one(2));
        assert_eq!(found("begin execute 'it''s ' || \"p_name\"; end"), one(1));
        assert_eq!(found("begin execute 'x' || $2; end"), vec![("$2".to_string(), 1)]);
    }

    #[test]
    fn what_is_quoted_or_something_else() {
        for source in [
            "begin execute 'drop table ' || quote_ident(p_name); end",
            "begin execute format('drop table %I', p_name || 'x'); end",
            "begin execute 'select $1' using 'a' || p_name; end",
            "begin execute 'x' || p_name::regclass || other; end",
            "begin -- execute 'x' || p_name;\n /* execute 'x' || p_name; */ perform 'execute x' || p_name; end",
            "begin s := 'x' || p_name; execute t; end",
            "begin execute $x$ execute 'x' || p_name $x$; end",
            "begin execute p_name; end",
            "begin execute E'it\\'s || p_name ' || 'x'; end",
            "execute",
            "'",
            "$x$ é",
        ] {
            assert_eq!(found(source), Vec::new(), "{source}");
        }
    }
}
