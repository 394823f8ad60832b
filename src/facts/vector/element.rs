//! What is indexed, and by which distance.

use serde::Serialize;

/// pgvector's types, and bit strings, which it indexes too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Element {
    Vector,
    Halfvec,
    Bit,
    Sparsevec,
}

impl Element {
    pub fn name(self) -> &'static str {
        match self {
            Element::Vector => "vector",
            Element::Halfvec => "halfvec",
            Element::Bit => "bit",
            Element::Sparsevec => "sparsevec",
        }
    }

    pub fn from_name(name: &str) -> Option<Element> {
        [Element::Vector, Element::Halfvec, Element::Bit, Element::Sparsevec].into_iter().find(|e| e.name() == name)
    }

    /// Bytes of a value with its header, which is never short or compressed. Of a sparsevec `dimensions` are its non-zero
    /// elements.
    pub fn value_bytes(self, dimensions: f64) -> f64 {
        match self {
            Element::Vector => 8.0 + 4.0 * dimensions,
            Element::Halfvec => 8.0 + 2.0 * dimensions,
            Element::Bit => 8.0 + (dimensions / 8.0).ceil(),
            Element::Sparsevec => 16.0 + 8.0 * dimensions,
        }
    }

    /// What HNSW and IVFFlat can index; of a sparsevec non-zero elements.
    pub fn most_indexable_dimensions(self) -> u32 {
        match self {
            Element::Vector => 2000,
            Element::Halfvec => 4000,
            Element::Bit => 64_000,
            Element::Sparsevec => 1000,
        }
    }
}

/// Distance operators of pgvector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub enum Operator {
    L2,
    InnerProduct,
    Cosine,
    L1,
    Hamming,
    Jaccard,
}

impl Operator {
    pub const ALL: [Operator; 6] =
        [Operator::L2, Operator::InnerProduct, Operator::Cosine, Operator::L1, Operator::Hamming, Operator::Jaccard];

    pub fn sql(self) -> &'static str {
        match self {
            Operator::L2 => "<->",
            Operator::InnerProduct => "<#>",
            Operator::Cosine => "<=>",
            Operator::L1 => "<+>",
            Operator::Hamming => "<~>",
            Operator::Jaccard => "<%>",
        }
    }

    pub fn from_sql(sql: &str) -> Option<Operator> {
        Operator::ALL.into_iter().find(|operator| operator.sql() == sql)
    }

    /// As words.
    pub fn distance(self) -> &'static str {
        match self {
            Operator::L2 => "L2 distance",
            Operator::InnerProduct => "inner product",
            Operator::Cosine => "cosine distance",
            Operator::L1 => "L1 distance",
            Operator::Hamming => "Hamming distance",
            Operator::Jaccard => "Jaccard distance",
        }
    }

    /// Of the operator class for this type, without schema: vector_cosine_ops.
    pub fn class(self, element: Element) -> String {
        let distance = match self {
            Operator::L2 => "l2",
            Operator::InnerProduct => "ip",
            Operator::Cosine => "cosine",
            Operator::L1 => "l1",
            Operator::Hamming => "hamming",
            Operator::Jaccard => "jaccard",
        };
        format!("{}_{distance}_ops", element.name())
    }

    /// From the name of an operator class of pgvector.
    pub fn of_class(class: &str) -> Option<(Element, Operator)> {
        let elements = [Element::Vector, Element::Halfvec, Element::Bit, Element::Sparsevec];
        let mut pairs = elements.into_iter().flat_map(|element| Operator::ALL.map(|operator| (element, operator)));
        pairs.find(|(element, operator)| operator.class(*element) == class)
    }
}

/// What is indexed or compared: the column itself, or what is made of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    Column,
    /// `embedding::halfvec(1536)`
    Cast {
        element: Element,
        dimensions: u32,
    },
    /// `binary_quantize(embedding)::bit(1536)`
    BinaryQuantize {
        dimensions: u32,
    },
    /// `subvector(embedding, 1, 512)::vector(512)`
    Subvector {
        first: u32,
        dimensions: u32,
    },
    /// Another expression, as PostgreSQL prints it.
    Other(String),
}
