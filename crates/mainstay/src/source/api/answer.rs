//! The content of an answer, as it arrives.

use super::{Api, Error, Method, Url, Why};
use bytes::{Buf as _, Bytes};
use reqwest::Response;
use reqwest::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;
use std::io::{self, Read};

/// The content of an answer. One that breaks off before its end is an error.
#[derive(Debug)]
pub struct Answer {
    response: Response,
    api: Api,
    name: (Method, Url),
    arrived: Bytes,
}

impl Answer {
    pub(super) fn new(response: Response, api: Api, name: (Method, Url)) -> Self {
        Self {
            response,
            api,
            name,
            arrived: Bytes::new(),
        }
    }

    /// Whether the server calls it JSON.
    pub fn is_json(&self) -> bool {
        let kind = self.response.headers().get(CONTENT_TYPE);
        kind.and_then(|kind| kind.to_str().ok())
            .is_some_and(|kind| kind.contains("json"))
    }

    /// All of it.
    ///
    /// # Errors
    /// That it is more than `most` bytes, or breaks off.
    pub fn bytes(mut self, most: u64) -> Result<Vec<u8>, Error> {
        let mut all = Vec::new();
        while let Some(more) = self.more()? {
            if (all.len() + more.len()) as u64 > most {
                return Err(self.failed(Why::TooLarge(most)));
            }
            all.extend_from_slice(&more);
        }
        Ok(all)
    }

    /// All of it, which is JSON.
    ///
    /// # Errors
    /// As [`Answer::bytes`]; and that it is no JSON, or of another shape.
    pub fn json<T: DeserializeOwned>(self, most: u64) -> Result<T, Error> {
        let (method, url) = self.name.clone();
        let all = self.bytes(most)?;
        serde_json::from_slice(&all).map_err(|error| Error::new(Why::no_json(&all, &error), &method, &url))
    }

    /// The same; an empty answer is `null`.
    pub(super) fn json_or_null(self, most: u64) -> Result<serde_json::Value, Error> {
        let (method, url) = self.name.clone();
        let all = self.bytes(most)?;
        if all.trim_ascii().is_empty() {
            return Ok(serde_json::Value::Null);
        }
        serde_json::from_slice(&all).map_err(|error| Error::new(Why::no_json(&all, &error), &method, &url))
    }

    /// The error that this answer has, for whoever reads it.
    pub fn failed(&self, why: Why) -> Error {
        Error::new(why, &self.name.0, &self.name.1)
    }

    /// What arrives next; nothing at the end.
    fn more(&mut self) -> Result<Option<Bytes>, Error> {
        let come = self.api.clone().wait(self.response.chunk());
        match come {
            Ok(Ok(more)) => Ok(more),
            Ok(Err(error)) => Err(self.failed(Why::of_content(&error))),
            Err(why) => Err(self.failed(why)),
        }
    }
}

impl Read for Answer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.arrived.is_empty() {
            match self.more() {
                Ok(Some(more)) => self.arrived = more,
                Ok(None) => return Ok(0),
                Err(error) => return Err(error.into()),
            }
        }
        let length = buffer.len().min(self.arrived.len());
        self.arrived.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}
