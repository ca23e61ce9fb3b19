//! What Dropbox answers, as far as a store asks: the shapes are those of its documentation
//! (<https://www.dropbox.com/developers/documentation/http/documentation>), not of a real account.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use storage::Options;

use crate::http_mock::{MockAnswer, MockRequest, serve};

/// The access token that is good.
pub const TOKEN: &str = "sl.access-token";
/// The refresh token that gets it.
pub const REFRESH_TOKEN: &str = "refresh-token";

/// A server that keeps files in memory. It lasts as long as the process.
pub struct DropboxMock {
    endpoint: String,
    files: Files,
}

type Files = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// Entries of one page of a listing: few, so that there are several pages.
const PAGE: usize = 50;

impl DropboxMock {
    /// Start it, without files.
    pub fn start() -> Self {
        Self::start_with(|_| true)
    }

    /// Start one that closes the connection for requests that `serves` is not true of.
    pub fn start_with(serves: impl Fn(&MockRequest) -> bool + Send + Sync + 'static) -> Self {
        let files = Files::default();
        let kept = Arc::clone(&files);
        let endpoint = serve(move |request| serves(request).then(|| answer(&mut kept.lock(), request)));
        Self { endpoint, files }
    }

    /// Options to reach it, with the access token.
    pub fn options(&self) -> Options {
        let mut options = Options::default();
        options.dropbox.token = Some(TOKEN.into());
        options.dropbox.endpoint = Some(self.endpoint.clone());
        options
    }

    /// Paths of all files.
    pub fn paths(&self) -> Vec<String> {
        self.files.lock().keys().cloned().collect()
    }
}

fn answer(files: &mut BTreeMap<String, Vec<u8>>, request: &MockRequest) -> MockAnswer {
    if request.target == "/oauth2/token" {
        let body = String::from_utf8_lossy(&request.body);
        let is_known = body.contains(&format!(
            "refresh_token={REFRESH_TOKEN}&client_id=key&client_secret=secret"
        ));
        return if is_known {
            let token = format!(r#"{{"access_token": "{TOKEN}", "expires_in": 14400, "token_type": "bearer"}}"#);
            MockAnswer::json(200, token)
        } else {
            MockAnswer::json(400, r#"{"error": "invalid_grant"}"#)
        };
    }
    if request.header("authorization") != Some(&format!("Bearer {TOKEN}")) {
        return failure(401, "expired_access_token/");
    }
    match request.target.as_str() {
        "/2/files/upload" => upload(files, request),
        "/2/files/download" => download(files, request),
        "/2/files/get_metadata" => metadata(files, &argument(&request.body, "path")),
        "/2/files/delete_v2" => delete(files, &argument(&request.body, "path")),
        "/2/files/list_folder" => list(files, &argument(&request.body, "path"), 0),
        "/2/files/list_folder/continue" => {
            let cursor = argument(&request.body, "cursor");
            let (at, path) = cursor.split_once(' ').expect("a cursor that was handed out");
            list(files, path, at.parse().expect("a position"))
        }
        other => failure(404, other),
    }
}

/// The text of a key in JSON that the client wrote.
fn argument(json: &[u8], key: &str) -> String {
    let json = String::from_utf8_lossy(json);
    let (_, after) = json.split_once(&format!("\"{key}\":\"")).expect("the key is there");
    after.split('"').next().unwrap_or_default().to_owned()
}

fn failure(status: u16, summary: &str) -> MockAnswer {
    MockAnswer::json(
        status,
        format!(r#"{{"error_summary": "{summary}", "error": {{".tag": "path"}}}}"#),
    )
}

fn describe(path: &str, content: &[u8]) -> String {
    let name = path.rsplit('/').next().unwrap_or_default();
    format!(
        r#"{{".tag": "file", "name": "{name}", "id": "id:a4ayc_80_OEAAAAAAAAAXw", "client_modified": "2015-05-12T15:50:38Z",
        "server_modified": "2015-05-12T15:50:38Z", "rev": "a1c10ce0dd78", "size": {}, "path_lower": "{}",
        "path_display": "{path}", "is_downloadable": true, "content_hash": "00"}}"#,
        content.len(),
        path.to_lowercase()
    )
}

fn upload(files: &mut BTreeMap<String, Vec<u8>>, request: &MockRequest) -> MockAnswer {
    let arguments = request.header("dropbox-api-arg").unwrap_or_default();
    assert!(arguments.contains(r#""mode":"overwrite""#), "{arguments}");
    let path = argument(arguments.as_bytes(), "path");
    let described = describe(&path, &request.body);
    files.insert(path, request.body.clone());
    MockAnswer::json(200, described)
}

fn download(files: &BTreeMap<String, Vec<u8>>, request: &MockRequest) -> MockAnswer {
    let path = argument(request.header("dropbox-api-arg").unwrap_or_default().as_bytes(), "path");
    let Some(content) = files.get(&path) else {
        return failure(409, "path/not_found/..");
    };
    let range = request.header("range").and_then(|range| range.strip_prefix("bytes="));
    let Some((first, last)) = range.and_then(|range| range.split_once('-')) else {
        return MockAnswer {
            status: 200,
            headers: Vec::new(),
            body: content.clone(),
        };
    };
    let (first, last): (usize, usize) = (first.parse().expect("a number"), last.parse().expect("a number"));
    if first >= content.len() {
        return failure(416, "range");
    }
    let last = last.min(content.len() - 1);
    MockAnswer {
        status: 206,
        headers: vec![(
            "Content-Range".to_owned(),
            format!("bytes {first}-{last}/{}", content.len()),
        )],
        body: content[first..=last].to_vec(),
    }
}

fn is_folder(files: &BTreeMap<String, Vec<u8>>, path: &str) -> bool {
    files.keys().any(|file| file.starts_with(&format!("{path}/")))
}

fn metadata(files: &BTreeMap<String, Vec<u8>>, path: &str) -> MockAnswer {
    match files.get(path) {
        Some(content) => MockAnswer::json(200, describe(path, content)),
        None if is_folder(files, path) => MockAnswer::json(
            200,
            format!(r#"{{".tag": "folder", "name": "x", "id": "id:1", "path_display": "{path}"}}"#),
        ),
        None => failure(409, "path/not_found/.."),
    }
}

fn delete(files: &mut BTreeMap<String, Vec<u8>>, path: &str) -> MockAnswer {
    let before = files.len();
    files.retain(|file, _| file != path && !file.starts_with(&format!("{path}/")));
    if files.len() == before {
        return failure(409, "path_lookup/not_found/..");
    }
    MockAnswer::json(200, format!(r#"{{"metadata": {}}}"#, describe(path, b"")))
}

/// What is in a folder itself, as the client asks for no more.
fn list(files: &BTreeMap<String, Vec<u8>>, path: &str, from: usize) -> MockAnswer {
    if files.contains_key(path) {
        return failure(409, "path/not_folder/..");
    }
    if !is_folder(files, path) {
        return failure(409, "path/not_found/..");
    }
    let mut entries = BTreeMap::new();
    for (file, content) in files {
        let Some(below) = file.strip_prefix(&format!("{path}/")) else {
            continue;
        };
        match below.split_once('/') {
            None => entries.insert(below.to_owned(), describe(file, content)),
            Some((folder, _)) => entries.insert(
                folder.to_owned(),
                format!(r#"{{".tag": "folder", "name": "{folder}", "id": "id:1", "path_display": "{path}/{folder}"}}"#),
            ),
        };
    }
    let page: Vec<_> = entries.into_values().skip(from).take(PAGE).collect();
    let has_more = page.len() == PAGE;
    MockAnswer::json(
        200,
        format!(
            r#"{{"entries": [{}], "cursor": "{} {path}", "has_more": {has_more}}}"#,
            page.join(","),
            from + PAGE
        ),
    )
}
