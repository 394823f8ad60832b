//! Reads what nodeToString() prints: a tree of nodes, lists and tokens, all in one array, a node before what is in it.

/// Of VALUES, rows after these are only counted: a dump has millions of them.
const ROWS_KEPT: u32 = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Null,
    Token,
    List,
    Object,
}

#[derive(Clone, Copy, Debug)]
struct Item<'a> {
    /// Its name in the node around it.
    field: &'a str,
    /// A token's text, a node's tag.
    text: &'a str,
    kind: Kind,
    /// Items that it takes, itself among them.
    length: u32,
    /// Elements of a list, kept or not.
    elements: u32,
}

pub struct Tree<'a>(Vec<Item<'a>>);

/// A node, a list or a token. Fields that are not there are NULL.
#[derive(Clone, Copy, Debug)]
pub struct Node<'t>(&'t [Item<'t>]);

impl<'a> Tree<'a> {
    pub fn read(text: &'a str) -> Tree<'a> {
        let mut reader = Reader { text, at: 0, items: Vec::new(), open: Vec::new(), field: None };
        while let Some(token) = reader.token() {
            reader.add(token);
        }
        Tree(reader.items)
    }

    pub fn root(&self) -> Node<'_> {
        Node(&self.0)
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    items: Vec<Item<'a>>,
    /// Nodes and lists that are open.
    open: Vec<usize>,
    field: Option<&'a str>,
}

impl<'a> Reader<'a> {
    /// As the server's own reader splits it: a backslash takes the next character along.
    fn token(&mut self) -> Option<&'a str> {
        let bytes = self.text.as_bytes();
        while matches!(bytes.get(self.at), Some(b' ' | b'\n' | b'\t')) {
            self.at += 1;
        }
        let start = self.at;
        if let b'(' | b')' | b'{' | b'}' = bytes.get(start)? {
            self.at += 1;
            return Some(&self.text[start..self.at]);
        }
        while let Some(byte) = bytes.get(self.at) {
            match byte {
                b' ' | b'\n' | b'\t' | b'(' | b')' | b'{' | b'}' => break,
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.at = self.at.min(bytes.len());
        Some(&self.text[start..self.at])
    }

    fn add(&mut self, token: &'a str) {
        match token {
            ")" | "}" => {
                let Some(opened) = self.open.pop() else { return };
                self.items[opened].length = (self.items.len() - opened) as u32;
            }
            "(" | "{" => {
                let kind = if token == "(" { Kind::List } else { Kind::Object };
                if self.is_one_too_many() {
                    return self.skip(token.as_bytes()[0]);
                }
                let tag = if kind == Kind::Object { self.token().unwrap_or_default() } else { "" };
                self.push(tag, kind);
                self.open.push(self.items.len() - 1);
            }
            "<>" => self.push("", Kind::Null),
            _ if self.field.is_none() && token.starts_with(':') && self.in_object() => self.field = Some(&token[1..]),
            _ => self.push(token, Kind::Token),
        }
    }

    /// To behind what closes the bracket that was read last.
    fn skip(&mut self, open: u8) {
        let close = if open == b'(' { b')' } else { b'}' };
        let bytes = self.text.as_bytes();
        let mut depth = 1;
        while let Some(next) = bytes.get(self.at..).and_then(|rest| memchr::memchr3(open, close, b'\\', rest)) {
            let byte = bytes[self.at + next];
            self.at += next + if byte == b'\\' { 2 } else { 1 };
            depth += i64::from(byte == open) - i64::from(byte == close);
            if depth == 0 {
                return;
            }
        }
        self.at = bytes.len();
    }

    fn push(&mut self, text: &'a str, kind: Kind) {
        if let Some(around) = self.open.last() {
            self.items[*around].elements += 1;
        }
        let field = self.field.take().unwrap_or_default();
        self.items.push(Item { field, text, kind, length: 1, elements: 0 });
    }

    fn in_object(&self) -> bool {
        self.open.last().is_some_and(|around| self.items[*around].kind == Kind::Object)
    }

    fn is_one_too_many(&mut self) -> bool {
        let Some(around) = self.open.last().map(|around| &mut self.items[*around]) else { return false };
        let full = around.field == "valuesLists" && around.elements >= ROWS_KEPT;
        around.elements += u32::from(full);
        full
    }
}

impl<'t> Node<'t> {
    pub fn is_null(self) -> bool {
        self.0.first().is_none_or(|item| item.kind == Kind::Null)
    }

    /// Of a node, as `CREATESTMT`; of anything else nothing.
    pub fn tag(self) -> &'t str {
        self.0.first().filter(|item| item.kind == Kind::Object).map_or("", |item| item.text)
    }

    pub fn is(self, tag: &str) -> bool {
        self.tag() == tag
    }

    /// A list's elements, a node's fields.
    pub fn children(self) -> impl Iterator<Item = Node<'t>> {
        let mut rest = self.0.get(1..).unwrap_or_default();
        std::iter::from_fn(move || {
            let length = rest.first()?.length as usize;
            let (child, others) = rest.split_at(length.min(rest.len()));
            rest = others;
            Some(Node(child))
        })
    }

    pub fn field(self, name: &str) -> Node<'t> {
        self.children().find(|child| child.0[0].field == name).unwrap_or(Node(&[]))
    }

    /// Elements of a list, also those that were only counted.
    pub fn count(self) -> usize {
        self.0.first().filter(|item| item.kind == Kind::List).map_or(0, |item| item.elements as usize)
    }

    /// A token's value; None: NULL.
    pub fn text(self) -> Option<String> {
        let item = self.0.first().filter(|item| item.kind == Kind::Token)?;
        let quoted = item.text.len() > 1 && item.text.starts_with('"') && item.text.ends_with('"');
        let inner = if quoted { &item.text[1..item.text.len() - 1] } else { item.text };
        let mut characters = inner.chars();
        let mut value = String::with_capacity(inner.len());
        while let Some(c) = characters.next() {
            value.extend(if c == '\\' { characters.next() } else { Some(c) });
        }
        Some(value)
    }

    pub fn string(self, field: &str) -> Option<String> {
        self.field(field).text()
    }

    /// Of what always has a name.
    pub fn name(self, field: &str) -> String {
        self.string(field).unwrap_or_default()
    }

    pub fn flag(self, field: &str) -> bool {
        self.field(field).0.first().is_some_and(|item| item.text == "true")
    }

    pub fn number(self, field: &str) -> Option<i64> {
        self.field(field).0.first()?.text.parse().ok()
    }

    /// Where it begins, in the parsed text.
    pub fn location(self) -> Option<usize> {
        usize::try_from(self.number("location")?).ok()
    }

    /// A list of names.
    pub fn names(self, field: &str) -> Vec<String> {
        self.field(field).children().filter_map(Node::text).collect()
    }

    /// All nodes of this tag, in it or itself, outermost first.
    pub fn all(self, tag: &str) -> impl Iterator<Item = Node<'t>> {
        self.nodes().filter(move |node| node.is(tag))
    }

    pub fn nodes(self) -> impl Iterator<Item = Node<'t>> {
        let items = self.0;
        let of = move |(at, item): (usize, &Item)| Node(&items[at..(at + item.length as usize).min(items.len())]);
        items.iter().enumerate().filter(|(_, item)| item.kind == Kind::Object).map(of)
    }

    /// It is somewhere in `outer`.
    pub fn is_within(self, outer: Node) -> bool {
        outer.0.as_ptr_range().contains(&self.0.as_ptr())
    }
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn a_tree_is_read() {
        let text = r#"{DROPSTMT :objects (("public" "my\ table") ("b")) :removeType 41 :missing_ok true :x <> :name :odd :empty "" :e "it's"}"#;
        let tree = Tree::read(text);
        let node = tree.root();
        assert!(node.is("DROPSTMT"));
        let objects: Vec<Vec<_>> =
            node.field("objects").children().map(|list| list.children().filter_map(Node::text).collect()).collect();
        assert_eq!(objects, [vec!["public", "my table"], vec!["b"]]);
        assert_eq!((node.number("removeType"), node.flag("missing_ok")), (Some(41), true));
        assert!(node.field("x").is_null() && node.field("y").is_null() && !node.field("e").is_null());
        assert_eq!(node.string("name").as_deref(), Some(":odd"));
        assert_eq!(node.string("empty").as_deref(), Some(""));
        assert_eq!(node.string("e").as_deref(), Some("it's"));
    }

    #[test]
    fn rows_of_values_are_counted_and_few_are_kept() {
        let row = r#"({A_CONST :val "a\)" :location 3})"#;
        let text = format!("{{SELECTSTMT :valuesLists ({}) :op 0}}", [row; 250].join(" "));
        let tree = Tree::read(&text);
        assert_eq!(tree.root().field("valuesLists").count(), 250);
        assert_eq!(tree.root().all("A_CONST").count(), ROWS_KEPT as usize);
        assert_eq!(tree.root().number("op"), Some(0));
    }

    #[test]
    fn a_tree_as_deep_as_you_like() {
        let text = format!("{}{}", "{A :l ".repeat(200_000), "}".repeat(200_000));
        assert_eq!(Tree::read(&text).root().all("A").count(), 200_000);
    }
}
