//! Which files there are to read.

use super::lines::{self, Format};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub struct LogFile {
    pub path: PathBuf,
    /// This time is in another file of the same name, in the other format.
    pub twin: Option<PathBuf>,
}

#[derive(Default)]
pub struct Found {
    pub files: Vec<LogFile>,
    /// Not read, and why.
    pub left: Vec<String>,
}

/// Files of the log directory that were written to since then, the oldest first.
pub fn in_directory(directory: &Path, since: i64) -> io::Result<Found> {
    let mut found = Found::default();
    let mut files: Vec<(SystemTime, PathBuf)> = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // logrotate appends a number.
        let stem = name.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('.');
        let stem = if stem.ends_with(".csv") || stem.ends_with(".json") { stem } else { &name };
        let packed = [".gz", ".zst", ".xz", ".bz2", ".lz4"].iter().find_map(|ending| name.strip_suffix(ending));
        let is_log = |name: &str| name.contains(".csv") || name.contains(".json");
        let read = stem.ends_with(".csv") || stem.ends_with(".json");
        if !read && !packed.is_some_and(is_log) {
            continue;
        }
        let modified = match fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() => metadata.modified().unwrap_or(UNIX_EPOCH),
            Ok(_) => continue,
            // Rotated away since.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => {
                found.left.push(format!("{}: {error}", path.display()));
                continue;
            }
        };
        if modified < at(since) {
            continue;
        }
        match packed {
            Some(_) => found.left.push(format!("{}: compressed", path.display())),
            None => files.push((modified, path)),
        }
    }
    files.sort();
    let paths: Vec<PathBuf> = files.into_iter().map(|(_, path)| path).collect();
    // The twin comes right after.
    for path in &paths {
        let json = path.extension().is_some_and(|ending| ending == "json");
        let twin = path.with_extension(if json { "csv" } else { "json" });
        let twin = paths.contains(&twin).then_some(twin);
        if json && twin.is_some() {
            continue;
        }
        found.files.push(LogFile { path: path.clone(), twin });
    }
    Ok(found)
}

/// `ms` since 1970; what is out of range is the beginning.
fn at(ms: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(ms.clamp(0, 1 << 45) as u64)
}

/// The file, read from its beginning, and its format; None: it is empty.
pub fn open(path: &Path) -> io::Result<Option<(impl Read + use<>, Format)>> {
    // To open a pipe would wait for whoever writes to it.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut file = File::open(path)?;
    let mut head = vec![0; 4096];
    let mut length = 0;
    while length < head.len() {
        match file.read(&mut head[length..])? {
            0 => break,
            count => length += count,
        }
    }
    head.truncate(length);
    Ok(lines::format(&head).map(|format| (io::Cursor::new(head).chain(file), format)))
}
