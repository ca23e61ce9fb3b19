//! The steps of an export and an import, made sense of.

use super::template::Template;
use crate::config::Misuse;
use crate::config::model::{Export, Http, Import, Paging};
use crate::source::api::Method;
use glob::Pattern;
use std::path::{Component, Path};

/// A request whose answer is stored.
#[derive(Clone, Debug)]
pub struct ExportStep {
    /// `GET` or `POST`.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// Name of the file, as it is configured.
    pub store: String,
    /// The same, taken apart.
    pub name: Template,
    /// How further pages are asked for.
    pub paging: Option<Paging>,
}

impl ExportStep {
    /// Method and path, for people.
    pub fn request(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// Whether what is stored has to be JSON.
    pub fn is_json(&self) -> bool {
        self.paging.is_some() || self.name.has_fields() || is_json(&self.store)
    }
}

/// Files that are sent.
#[derive(Clone, Debug)]
pub struct ImportStep {
    /// How.
    pub method: Method,
    /// Where to, with fields of the file.
    pub path: Template,
    /// Method and path, for people.
    pub request: String,
    /// Which.
    pub files: Pattern,
    /// What is there already is no error.
    pub ignore_existing: bool,
}

impl ImportStep {
    /// Whether it may change what is there already.
    pub fn replaces(&self) -> bool {
        self.method != Method::POST || !self.ignore_existing
    }
}

/// Whether a file of this name holds JSON.
pub fn is_json(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "json")
}

/// The steps of an export.
///
/// # Errors
/// [`Misuse`] if one makes no sense.
pub fn exports(http: &Http) -> Result<Vec<ExportStep>, Misuse> {
    if http.export.is_empty() {
        let message = format!("`export` of the source `{}` has no steps", http.name);
        return Err(Misuse::new(message, "Add a step with `request` and `store`."));
    }
    http.export.iter().map(|step| export(http, step)).collect()
}

/// The steps of an import.
///
/// # Errors
/// As [`exports`].
pub fn imports(http: &Http) -> Result<Vec<ImportStep>, Misuse> {
    http.import.iter().map(|step| import(http, step)).collect()
}

fn export(http: &Http, step: &Export) -> Result<ExportStep, Misuse> {
    let wrong = |why: &str, hint: &str| wrong(http, &step.request, why, hint);
    let (method, path) = request(http, &step.request)?;
    if !matches!(method, Method::GET | Method::POST) {
        return Err(wrong(
            "an export reads",
            "Use `GET`, or `POST` where the application wants it.",
        ));
    }
    let name = Template::parse(&step.store).map_err(|why| wrong(&why, "`store` looks like `items/{id}.json`."))?;
    let is_inside = Path::new(&step.store)
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if !is_inside || step.store.ends_with('/') {
        let hint = "Write a name, or a path without `/` before it and `..` in it.";
        return Err(wrong(&format!("`store` is `{}`", step.store), hint));
    }
    if let Some(paging) = &step.paging {
        for pointer in [&paging.next, &paging.items].into_iter().flatten() {
            if !pointer.is_empty() && !pointer.starts_with('/') {
                let hint = format!("A JSON pointer begins with a slash: `/{pointer}`.");
                return Err(wrong(&format!("`{pointer}` is no JSON pointer"), &hint));
            }
        }
        if paging.parameter.is_none() && paging.next.is_some() {
            let hint = "Say with `parameter` which parameter of the request gets what `next` finds.";
            return Err(wrong("`paging` has `next` without `parameter`", hint));
        }
    }
    Ok(ExportStep {
        method,
        path,
        store: step.store.clone(),
        name,
        paging: step.paging.clone(),
    })
}

fn import(http: &Http, step: &Import) -> Result<ImportStep, Misuse> {
    let wrong = |why: &str, hint: &str| wrong(http, &step.request, why, hint);
    let (method, path) = request(http, &step.request)?;
    if !matches!(method, Method::POST | Method::PUT | Method::PATCH) {
        return Err(wrong("an import sends", "Use `POST`, `PUT` or `PATCH`."));
    }
    let path = Template::parse(&path).map_err(|why| wrong(&why, "A path looks like `/api/items/{id}`."))?;
    let files = Pattern::new(&step.files).map_err(|error| {
        let hint = "`files` is a pattern such as `items/*.json`.";
        wrong(&format!("`files` is `{}`: {error}", step.files), hint)
    })?;
    Ok(ImportStep {
        method,
        path,
        request: step.request.clone(),
        files,
        ignore_existing: step.ignore_existing,
    })
}

fn request(http: &Http, text: &str) -> Result<(Method, String), Misuse> {
    let parts = text.trim().split_once(' ');
    let parsed = parts.and_then(|(method, path)| {
        let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes()).ok()?;
        Some((method, path.trim().to_owned()))
    });
    let is_path = |path: &str| path.starts_with('/') && !path.contains(char::is_whitespace);
    parsed.filter(|(_, path)| is_path(path)).ok_or_else(|| {
        wrong(
            http,
            text,
            "it is no request",
            "Write method and path, such as `GET /api/items`.",
        )
    })
}

fn wrong(http: &Http, request: &str, why: &str, hint: &str) -> Misuse {
    Misuse::new(
        format!("a step of the source `{}`, `{request}`: {why}", http.name),
        hint,
    )
}
