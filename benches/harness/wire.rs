//! A client without a thread: the server runs what it has sent while the benchmark goes on.

use crate::cluster::{Cluster, Result};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

pub struct Wire {
    stream: UnixStream,
}

impl Wire {
    pub fn open(cluster: &Cluster, database: &str, application: &str) -> Result<Wire> {
        let mut wire = Wire { stream: UnixStream::connect(cluster.folder.join(".s.PGSQL.5432"))? };
        let parameters = ["user", "postgres", "database", database, "application_name", application];
        let protocol = 196_608_u32.to_be_bytes();
        let body = parameters.iter().flat_map(|text| text.bytes().chain([0])).chain([0]);
        let body: Vec<u8> = protocol.into_iter().chain(body).collect();
        wire.stream.write_all(&(body.len() as u32 + 4).to_be_bytes())?;
        wire.stream.write_all(&body)?;
        wire.until_ready()?;
        Ok(wire)
    }

    /// Does not wait for the answer.
    pub fn send(&mut self, sql: &str) -> Result<()> {
        self.stream.write_all(b"Q")?;
        self.stream.write_all(&(sql.len() as u32 + 5).to_be_bytes())?;
        self.stream.write_all(sql.as_bytes())?;
        Ok(self.stream.write_all(&[0])?)
    }

    pub fn run(&mut self, sql: &str) -> Result<()> {
        self.send(sql)?;
        self.until_ready()
    }

    fn until_ready(&mut self) -> Result<()> {
        loop {
            let mut header = [0; 5];
            self.stream.read_exact(&mut header)?;
            let length = u32::from_be_bytes(header[1..].try_into()?) as usize;
            let mut body = vec![0; length - 4];
            self.stream.read_exact(&mut body)?;
            match header[0] {
                b'E' => return Err(String::from_utf8_lossy(&body).replace('\0', " ").into()),
                b'Z' => return Ok(()),
                _ => {}
            }
        }
    }
}
