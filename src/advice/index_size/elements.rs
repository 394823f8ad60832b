//! What the rows of a column hold in common: elements of arrays, lexemes, keys and values of jsonb, trigrams.

use super::KeyColumn;
use super::key::SAMPLE;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

/// Lexeme, entry, alignment and one position; the header.
const TSVECTOR_ELEMENT: f64 = 15.0;
const TSVECTOR_HEADER: f64 = 8.0;
const LEXEME: f64 = 6.5;
const ARRAY_HEADER: f64 = 20.0;
/// A key and a value of jsonb with their entries, where nothing better is known.
const JSON_PAIR: f64 = 23.0;
const JSON_KEY: f64 = 9.0;
/// Trigrams for each character.
const TRIGRAMS_PER_CHARACTER: f64 = 0.95;
/// Trigrams that natural text draws from.
const TRIGRAMS: f64 = 8000.0;
/// Elements in a list of most common ones at the default statistics target, less a few.
const FULL_LIST: usize = 950;
/// Elements per row that the list does not tell of.
const RARE_REST: f64 = 0.05;
/// Rows that hold a rare element.
const RARE_ROWS: f64 = 1.2;
/// A slope of log share by log rank that chance alone does not make.
const STEEP: f64 = 0.5;
/// Counted so often in a sample, an element's frequency is known.
const KNOWN_FROM: u32 = 4;
/// Widths of keys that are made up, not taken: three bytes as an integer; a hash.
const TRIGRAM: f64 = 4.0;
const HASH: f64 = 4.0;
/// So long a value, of which no two rows of a sample have the same, is taken to be one that no two rows have.
const IDENTIFIER: f64 = 16.0;
/// Longer strings are hashed into eight characters.
const JSON_LONGEST: usize = 125;

/// Elements that are alike: how many, the share of rows that hold each, bytes of one as a key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group {
    pub number: f64,
    pub share: f64,
    pub width: f64,
}

/// Distinct elements per row that is not null.
pub(super) fn per_row(key: &KeyColumn) -> f64 {
    let sampled = sampled(key);
    if !sampled.is_empty() {
        return sampled.iter().map(|elements| elements.len() as f64).sum::<f64>() / sampled.len() as f64;
    }
    if let Some(elements) = &key.elements {
        let common = elements.frequencies.iter().map(|share| f64::from(*share)).sum::<f64>();
        let by_width = || ((key.average_width - TSVECTOR_HEADER) / TSVECTOR_ELEMENT).max(1.0);
        return elements.average.unwrap_or_else(by_width).max(common);
    }
    match kind(key) {
        Kind::Trigrams => 1.0 + TRIGRAMS_PER_CHARACTER * (key.average_width - 1.0).max(0.0),
        Kind::Json { paths } => (key.average_width / JSON_PAIR).max(1.0) * if paths { 1.0 } else { 2.0 },
        Kind::Text => ((key.average_width - TSVECTOR_HEADER) / TSVECTOR_ELEMENT).max(1.0),
        Kind::Array => ((key.average_width - ARRAY_HEADER) / 8.0).max(1.0),
        Kind::Scalar => 1.0,
    }
}

pub(super) fn groups(key: &KeyColumn, rows: f64) -> Vec<Group> {
    let sampled = sampled(key);
    if !sampled.is_empty() {
        return groups_of_sample(&sampled, key, rows);
    }
    let mean = per_row(key);
    match (&key.elements, kind(key)) {
        (Some(elements), kind) => {
            let width = match kind {
                _ if elements.type_length > 0 => f64::from(elements.type_length),
                Kind::Text => LEXEME,
                _ => ((key.average_width - ARRAY_HEADER) / mean - 4.5).max(2.0),
            };
            let shares: Vec<f64> = elements.frequencies.iter().map(|share| f64::from(*share)).collect();
            with_tail(shares, mean, rows, width)
        }
        (None, Kind::Trigrams) => zipf(TRIGRAMS, mean, TRIGRAM),
        // Every second pair is taken to have values that hardly repeat.
        (None, Kind::Json { paths }) => {
            let pairs = if paths { mean } else { mean / 2.0 };
            let width = if paths { 4.0 } else { JSON_KEY };
            let mut groups = vec![
                Group { number: rows.min(key.distinct.max(1.0)), share: 1.0 / rows.min(key.distinct.max(1.0)), width },
                Group { number: 100.0 * pairs, share: (pairs - 1.0).max(0.0) / (100.0 * pairs), width },
            ];
            if !paths {
                groups.push(Group { number: pairs, share: 1.0, width });
            }
            groups
        }
        (None, _) => {
            let number = key.distinct.max(mean);
            vec![Group { number, share: mean / number, width: 8.0 }]
        }
    }
}

enum Kind {
    Array,
    /// tsvector
    Text,
    Trigrams,
    Json {
        paths: bool,
    },
    /// Of btree_gin: the value itself.
    Scalar,
}

fn kind(key: &KeyColumn) -> Kind {
    match key.class.as_str() {
        "jsonb_ops" => Kind::Json { paths: false },
        "jsonb_path_ops" => Kind::Json { paths: true },
        "tsvector_ops" => Kind::Text,
        "gin_trgm_ops" | "gist_trgm_ops" => Kind::Trigrams,
        "array_ops" => Kind::Array,
        class if class.starts_with("gin__int") => Kind::Array,
        _ => Kind::Scalar,
    }
}

/// True where the key itself is what is indexed.
pub(super) fn is_scalar(key: &KeyColumn) -> bool {
    matches!(kind(key), Kind::Scalar)
}

/// Known shares, and a tail that falls as they do until it makes up the mean number of elements per row.
fn with_tail(mut shares: Vec<f64>, mean: f64, rows: f64, width: f64) -> Vec<Group> {
    shares.sort_by(|a, b| b.total_cmp(a));
    let mut groups: Vec<Group> = shares.iter().map(|share| Group { number: 1.0, share: *share, width }).collect();
    let mut rest = mean - shares.iter().sum::<f64>();
    // ANALYZE lists every element that it met more than a few times, up to ten times the statistics target: what is left of a
    // list that is not full is nearly as many elements as rows.
    if shares.len() < FULL_LIST && rest > RARE_REST {
        groups.push(Group { number: rest * rows / RARE_ROWS, share: RARE_ROWS / rows, width });
        return groups;
    }
    let (Some(first), Some(last)) = (shares.get(shares.len() / 8), shares.last()) else {
        groups.push(Group { number: mean * rows / 2.0, share: 2.0 / rows, width });
        return groups;
    };
    let known = shares.len() as f64;
    let falling = if known < 8.0 { 0.0 } else { (first / last).ln() / (known / (known / 8.0 + 1.0)).ln() };
    // Where hardly any are more common than others, those found most common were so by chance.
    let chance = (1.0 - falling / STEEP).max(0.0);
    let last = last * (1.0 - chance / (last * rows.min(SAMPLE)).max(1.0).sqrt()).max(0.1);
    let slope = falling * (1.0 - chance);
    let mut rank = known;
    let once = 1.0 / rows;
    while rest > 0.005 * mean {
        let number = (rank * 0.25).max(1.0);
        let share = last * ((rank + number / 2.0) / known).powf(-slope);
        if share <= once || rank > 1e9 {
            groups.push(Group { number: rest * rows, share: once, width });
            break;
        }
        let number = number.min(rest / share);
        groups.push(Group { number, share, width });
        rest -= number * share;
        rank += number;
    }
    groups
}

/// `mean` elements per row of `number`, in shares that fall with their rank.
fn zipf(number: f64, mean: f64, width: f64) -> Vec<Group> {
    let scale = mean / (number.ln() + 0.6);
    let mut groups = Vec::new();
    let mut rank = 1.0;
    while rank < number {
        let step = (rank * 0.25_f64).floor().max(1.0);
        groups.push(Group { number: step, share: (scale / (rank + step / 2.0)).min(1.0), width });
        rank += step;
    }
    groups
}

/// Elements seen often have the share they were seen with. Of the rest of each place, how many were seen once and how many
/// twice tells from how many they are drawn (Chao).
fn groups_of_sample(sampled: &[HashMap<String, Element>], key: &KeyColumn, rows: f64) -> Vec<Group> {
    let mut counts: BTreeMap<&str, (u32, &Element)> = BTreeMap::new();
    for (name, element) in sampled.iter().flatten() {
        counts.entry(name).or_insert((0, element)).0 += 1;
    }
    let size = sampled.len() as f64;
    let mut groups = Vec::new();
    let mut rare: BTreeMap<&str, Rare> = BTreeMap::new();
    for (count, element) in counts.into_values() {
        if count >= KNOWN_FROM {
            groups.push(Group { number: 1.0, share: f64::from(count) / size, width: element.width });
            continue;
        }
        let rare = rare.entry(&element.place).or_default();
        rare.seen += f64::from(count);
        rare.lengths += f64::from(count) * element.length;
        rare.widths += f64::from(count) * element.width;
        rare.once += f64::from(count == 1);
        rare.twice += f64::from(count == 2);
    }
    groups.extend(rare.values().map(|rare| rare.group(size, key.distinct.clamp(size, rows.max(size)))));
    groups
}

/// What was seen of the elements that were not seen often.
#[derive(Default)]
struct Rare {
    seen: f64,
    once: f64,
    twice: f64,
    lengths: f64,
    widths: f64,
}

impl Rare {
    fn group(&self, size: f64, distinct: f64) -> Group {
        let (share, width) = (self.seen / size, self.widths / self.seen);
        let most = distinct * share;
        let at_least = self.once * self.once / (2.0 * self.twice.max(1.0));
        let number = if self.twice > 0.0 {
            at_least
        } else if self.lengths / self.seen >= IDENTIFIER {
            most
        } else {
            // Never twice the same: drawn from more than the sample could show.
            (at_least * most).sqrt()
        };
        let number = number.clamp(self.seen.min(most), most);
        Group { number, share: share / number, width }
    }
}

/// One of a row.
struct Element {
    /// Where in a document it stands.
    place: String,
    /// Of the text.
    length: f64,
    /// As a key.
    width: f64,
}

/// Distinct elements of each sample with their bytes as keys.
fn sampled(key: &KeyColumn) -> Vec<HashMap<String, Element>> {
    match kind(key) {
        Kind::Trigrams => key.samples.iter().map(|text| trigrams(text)).collect(),
        Kind::Json { paths } => {
            let read = |text: &String| serde_json::from_str(text).ok();
            key.samples.iter().filter_map(read).map(|document| json_elements(&document, paths)).collect()
        }
        _ => Vec::new(),
    }
}

fn trigrams(text: &str) -> HashMap<String, Element> {
    let lower = text.to_lowercase();
    let words = lower.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
    let mut found = HashMap::new();
    for word in words {
        let padded: Vec<char> = format!("  {word} ").chars().collect();
        let trigrams = padded.windows(3).map(|letters| letters.iter().collect::<String>());
        found.extend(trigrams.map(|trigram| (trigram, Element { place: String::new(), length: 3.0, width: TRIGRAM })));
    }
    found
}

fn json_elements(document: &Value, paths: bool) -> HashMap<String, Element> {
    let mut found = HashMap::new();
    add_json(document, "", paths, &mut found);
    found
}

/// jsonb_ops takes keys and values, with strings in arrays as keys; jsonb_path_ops a hash of each value with the keys above it.
fn add_json(value: &Value, place: &str, paths: bool, found: &mut HashMap<String, Element>) {
    let mut add = |name: String, place: &str, length: usize| {
        // A flag and a header of one byte go with a text.
        let width = if paths { HASH } else { length.min(JSON_LONGEST) as f64 + 2.0 };
        let name = if paths { format!("{place}={name}") } else { name };
        found.insert(name, Element { place: place.to_string(), length: length as f64, width });
    };
    match value {
        Value::Object(members) => {
            if !paths {
                members.keys().for_each(|name| add(format!("k{name}"), "", name.len()));
            }
            for (name, member) in members {
                add_json(member, &format!("{place}.{name}"), paths, found);
            }
        }
        Value::Array(members) => members.iter().for_each(|member| add_json(member, place, paths, found)),
        Value::String(text) => add(format!("s{text}"), place, text.len()),
        scalar => {
            let printed = scalar.to_string();
            add(format!("n{printed}"), place, printed.len());
        }
    }
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    fn column(class: &str, samples: &[String]) -> KeyColumn {
        KeyColumn { class: class.to_string(), samples: samples.to_vec(), distinct: 1e5, ..KeyColumn::default() }
    }

    #[test]
    fn a_word_has_a_trigram_for_each_letter_and_one_more() {
        assert_eq!(per_row(&column("gin_trgm_ops", &["Some words".to_string()])), 11.0);
    }

    #[test]
    fn what_all_documents_hold_is_told_from_what_only_one_does() {
        let documents: Vec<String> = (0..100).map(|n| format!(r#"{{"id": "{n:032}", "state": "new"}}"#)).collect();
        let groups = groups(&column("jsonb_ops", &documents), 1e5);
        let common = groups.iter().filter(|group| group.share == 1.0).map(|group| group.number).sum::<f64>();
        let single = groups.iter().filter(|group| group.share < 1e-4).map(|group| group.number).sum::<f64>();
        assert_eq!((common, single), (3.0, 1e5));
    }

    #[test]
    fn the_tail_makes_up_the_mean() {
        let shares: Vec<f64> = (1..=1000).map(|rank| 0.3 / f64::from(rank)).collect();
        let groups = with_tail(shares, 4.0, 1e6, 4.0);
        let elements = groups.iter().map(|group| group.number * group.share).sum::<f64>();
        assert!((elements / 4.0 - 1.0).abs() < 0.02, "{elements}");
    }
}
