//! Numbers of lines.

/// Beginnings of lines, in bytes.
pub struct Lines(Vec<usize>);

impl Lines {
    pub fn of(text: &str) -> Lines {
        Lines(std::iter::once(0).chain(memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1)).collect())
    }

    /// From 1.
    pub fn at(&self, place: usize) -> usize {
        self.0.partition_point(|start| *start <= place)
    }
}
