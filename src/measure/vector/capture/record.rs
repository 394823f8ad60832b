//! A captured search as bytes, for it to wait in shared memory.

use crate::facts::vector::Element;

/// More does not get in: a vector of 16,000 dimensions, the most there can be, has 64,008 bytes.
pub const MOST_BYTES: usize = 128 * 1024;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// When the statement began.
    pub at: i64,
    /// The table or partition that was searched.
    pub relation: u32,
    /// 0: none, the search was exact.
    pub index: u32,
    pub key: String,
    pub operator: String,
    pub vector_type: u32,
    /// The value with its header, neither compressed nor short.
    pub vector: Vec<u8>,
    pub k: Option<i64>,
    pub rows: Option<i64>,
    pub k_short: bool,
    pub joined: bool,
    pub filter: Option<String>,
    pub filter_columns: Vec<i16>,
    pub ef_search: Option<i32>,
    pub probes: Option<i32>,
    pub iterative_scan: Option<String>,
    pub ms: f64,
    /// 0: none.
    pub query_id: i64,
    pub role: u32,
}

/// The bytes are as many as a value with this header has.
pub fn is_whole(element: Element, bytes: &[u8]) -> bool {
    let number = |at: usize| bytes.get(at..at + 4).map(|four| u32::from_ne_bytes([four[0], four[1], four[2], four[3]]));
    let dimensions = match element {
        Element::Vector | Element::Halfvec => {
            bytes.get(4..6).map(|two| u32::from(u16::from_ne_bytes([two[0], two[1]])))
        }
        Element::Bit => number(4),
        Element::Sparsevec => number(8),
    };
    dimensions.is_some_and(|dimensions| element.value_bytes(f64::from(dimensions)) == bytes.len() as f64)
}

impl Record {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256 + self.vector.len());
        out.extend(self.at.to_le_bytes());
        out.extend(self.ms.to_le_bytes());
        out.extend(self.query_id.to_le_bytes());
        for oid in [self.relation, self.index, self.vector_type, self.role] {
            out.extend(oid.to_le_bytes());
        }
        for number in [self.k, self.rows, self.ef_search.map(i64::from), self.probes.map(i64::from)] {
            out.extend(number.unwrap_or(-1).to_le_bytes());
        }
        out.extend([u8::from(self.k_short), u8::from(self.joined)]);
        bytes(&mut out, &self.vector);
        bytes(&mut out, self.key.as_bytes());
        bytes(&mut out, self.operator.as_bytes());
        for text in [&self.filter, &self.iterative_scan] {
            out.push(u8::from(text.is_some()));
            bytes(&mut out, text.as_deref().unwrap_or_default().as_bytes());
        }
        let columns: Vec<u8> = self.filter_columns.iter().flat_map(|column| column.to_le_bytes()).collect();
        bytes(&mut out, &columns);
        out
    }

    /// None: that is no record.
    pub fn decode(encoded: &[u8]) -> Option<Record> {
        let mut rest = Rest(encoded);
        let (at, ms, query_id) = (rest.i64()?, f64::from_le_bytes(rest.array()?), rest.i64()?);
        let [relation, index, vector_type, role] = [rest.u32()?, rest.u32()?, rest.u32()?, rest.u32()?];
        let [k, rows, ef_search, probes] = [rest.count()?, rest.count()?, rest.count()?, rest.count()?];
        let [k_short, joined] = rest.array()?;
        let (vector, key, operator) = (rest.bytes()?.to_vec(), rest.string()?, rest.string()?);
        let (filter, iterative_scan) = (rest.optional()?, rest.optional()?);
        let columns = rest.bytes()?.chunks_exact(2);
        Some(Record {
            at,
            relation,
            index,
            key,
            operator,
            vector_type,
            vector,
            k,
            rows,
            k_short: k_short != 0,
            joined: joined != 0,
            filter,
            filter_columns: columns.map(|two| i16::from_le_bytes([two[0], two[1]])).collect(),
            ef_search: ef_search.map(|value| value as i32),
            probes: probes.map(|value| value as i32),
            iterative_scan,
            ms,
            query_id,
            role,
        })
    }
}

fn bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u32).to_le_bytes());
    out.extend(bytes);
}

struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn part(&mut self, length: usize) -> Option<&'a [u8]> {
        let (part, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(part)
    }

    fn array<const LENGTH: usize>(&mut self) -> Option<[u8; LENGTH]> {
        self.part(LENGTH)?.try_into().ok()
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    fn count(&mut self) -> Option<Option<i64>> {
        self.i64().map(|count| (count >= 0).then_some(count))
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()?;
        self.part(length as usize)
    }

    fn string(&mut self) -> Option<String> {
        self.bytes().map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    fn optional(&mut self) -> Option<Option<String>> {
        let [there] = self.array()?;
        let text = self.string()?;
        Some((there != 0).then_some(text))
    }
}
