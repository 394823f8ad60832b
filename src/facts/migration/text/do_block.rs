//! Statements that stand in the body of a DO block as they are.

use super::Parsed;
use super::constants;
use super::convert;
use super::lexer::{Kind, Token, Tokens};
use super::node::Tree;
use super::parser;

/// What a PL/pgSQL block, loop or branch begins its statements with.
const OPENERS: &[&str] = &["begin", "then", "else", "loop"];

/// First words of statements of PL/pgSQL's own that do nothing to the database by themselves.
const OWN: &[&str] = &[
    "if",
    "elsif",
    "elseif",
    "end",
    "for",
    "foreach",
    "while",
    "case",
    "when",
    "return",
    "raise",
    "exit",
    "continue",
    "null",
    "declare",
    "exception",
    "assert",
    "get",
    "open",
    "fetch",
    "close",
    "move",
];

/// The statements, and whether what it does is told only when it runs: EXECUTE, another language, text that does not parse.
pub fn statements(language: &str, body: &str) -> (Vec<Parsed>, bool) {
    if language != "plpgsql" {
        return (Vec::new(), true);
    }
    let mut found = Vec::new();
    let mut dynamic = false;
    for piece in pieces(body) {
        let first = piece.first().expect("no piece is empty");
        let is = |words: &[&str]| words.iter().any(|word| first.word(word));
        if let Some(constant) = executed_constant(&piece) {
            match parsed_text(constant, body, &piece) {
                Some(statement) => found.push(statement),
                None => dynamic = true,
            }
        } else if is(&["execute"]) || (first.word("for") && piece.iter().any(|token| token.word("execute"))) {
            dynamic = true;
        } else if first.kind != Kind::Word || (is(OWN) && !loops_over_query(&piece)) {
            continue;
        } else if let Some(statement) = parsed(body, &piece) {
            found.push(statement);
        } else if !is_assignment(&piece) {
            dynamic = true;
        }
    }
    (found, dynamic)
}

/// EXECUTE of a constant is the statement in it.
fn executed_constant(piece: &[Token]) -> Option<String> {
    match piece {
        [execute, constant] if execute.word("execute") && constant.kind == Kind::String => {
            Some(constants::value(constant))
        }
        _ => None,
    }
}

/// Tokens between semicolons, and between what opens a list of statements and the first of them.
fn pieces(body: &str) -> Vec<Vec<Token<'_>>> {
    let mut pieces = vec![Vec::new()];
    let (mut depth, mut cases, mut declares) = (0, 0, false);
    for token in Tokens::of(body).filter(|token| token.kind != Kind::Comment) {
        let last = pieces.last_mut().expect("there is one");
        match token.text {
            "(" | "[" => depth += 1,
            ")" | "]" => depth -= 1,
            _ => {}
        }
        let starts = last.first().copied();
        if declares && !(depth == 0 && token.word("begin")) {
            continue;
        }
        if token.word("declare") && starts.is_none() {
            declares = true;
            continue;
        }
        declares = false;
        // CASE … WHEN … THEN in an expression.
        let in_expression = starts.is_some_and(|first: Token| !OWN.iter().any(|word| first.word(word)));
        if token.word("case") && in_expression {
            cases += 1;
        } else if token.word("end") && cases > 0 {
            cases -= 1;
        }
        let opens = depth == 0 && cases == 0 && OPENERS.iter().any(|word| token.word(word));
        if token.is(";") && depth == 0 {
            pieces.push(Vec::new());
            cases = 0;
        } else if opens && (!in_expression || token.word("loop")) {
            pieces.push(Vec::new());
        } else {
            last.push(token);
        }
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

/// FOR x IN SELECT … LOOP
fn loops_over_query(piece: &[Token]) -> bool {
    piece[0].word("for") && query_of_loop(piece).is_some()
}

fn query_of_loop<'a, 'b>(piece: &'b [Token<'a>]) -> Option<&'b [Token<'a>]> {
    let at = piece.iter().position(|token| token.word("in"))? + 1;
    let query = &piece[at..];
    let first = query.iter().find(|token| !token.is("("))?;
    ["select", "with", "update", "insert", "delete", "values"].iter().any(|word| first.word(word)).then_some(query)
}

fn is_assignment(piece: &[Token]) -> bool {
    piece.iter().take(12).any(|token| token.is("=") || token.is(":"))
}

fn parsed(body: &str, piece: &[Token]) -> Option<Parsed> {
    let piece = query_of_loop(piece).filter(|_| piece[0].word("for")).unwrap_or(piece);
    let text = match piece[0].word("perform") {
        true => format!("select {}", &body[piece[0].end()..piece.last()?.end()]),
        false => without_into(body, piece),
    };
    parsed_text(text, body, piece)
}

fn parsed_text(text: String, body: &str, piece: &[Token]) -> Option<Parsed> {
    let read = |raw: parser::Raw| convert::statement(Tree::read(raw.tree).root(), &raw.tag, &text, 0);
    let mut statements = parser::parse(&text, read).ok()?;
    let statement = statements.pop().filter(|_| statements.is_empty())?;
    let line = 1 + body[..piece[0].start].matches('\n').count();
    Some(Parsed { line, text, statement, allowed: Vec::new() })
}

/// INTO of PL/pgSQL names variables: what is left is the statement.
fn without_into(body: &str, piece: &[Token]) -> String {
    let text = |tokens: &[Token]| match tokens {
        [] => String::new(),
        _ => body[tokens[0].start..tokens[tokens.len() - 1].end()].to_string(),
    };
    let mut depth = 0;
    let into = piece.iter().enumerate().position(|(at, token)| {
        match token.text {
            "(" => depth += 1,
            ")" => depth -= 1,
            _ => {}
        }
        depth == 0 && at > 0 && token.word("into") && !piece[at - 1].word("insert") && !piece[at - 1].word("merge")
    });
    let Some(into) = into else { return text(piece) };
    let mut after = into + 1 + usize::from(piece.get(into + 1).is_some_and(|token| token.word("strict")));
    // name [. name …] [, …]
    while piece.get(after).is_some_and(|token| matches!(token.kind, Kind::Word | Kind::Quoted)) {
        after += 1;
        match piece.get(after) {
            Some(token) if token.is(".") || token.is(",") => after += 1,
            _ => break,
        }
    }
    format!("{} {}", text(&piece[..into]), text(&piece[after..]))
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    fn split(body: &str) -> Vec<String> {
        let text = |piece: &Vec<Token>| piece.iter().map(|token| token.text).collect::<Vec<_>>().join(" ");
        pieces(body).iter().map(text).collect()
    }

    #[test]
    fn a_body_is_split_where_statements_begin() {
        let body = "begin if exists (select 1) then alter table t add x int; else perform f(); end if; \
                    for r in select * from t loop update t set a = case when b then 1 else 2 end; end loop; \
                    exception when others then null; end";
        let expected = [
            "if exists ( select 1 )",
            "alter table t add x int",
            "perform f ( )",
            "end if",
            "for r in select * from t",
            "update t set a = case when b then 1 else 2 end",
            "end",
            "exception when others",
            "null",
            "end",
        ];
        assert_eq!(split(body), expected);
    }

    #[test]
    fn declarations_are_no_statements() {
        assert_eq!(
            split("declare a int := 1; b text; begin update t set a = 1; declare c int; begin null; end; end"),
            ["update t set a = 1", "null", "end", "end"]
        );
    }

    #[test]
    fn variables_are_no_tables() {
        let without = |body: &str| without_into(body, &Tokens::of(body).collect::<Vec<_>>());
        assert_eq!(without("select count(*) into strict n, m.k from t"), "select count(*) from t");
        assert_eq!(without("insert into t values (1) returning id into n"), "insert into t values (1) returning id ");
        assert_eq!(without("select (select 1)"), "select (select 1)");
    }
}
