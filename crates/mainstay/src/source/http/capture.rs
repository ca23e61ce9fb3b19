//! Answers as files of a snapshot.

use super::json::JsonCheck;
use super::names::Names;
use super::pages::{Items, Pages};
use super::steps::ExportStep;
use super::template;
use crate::engine::manifest::Facts;
use crate::source::api::{self, Answer, Api};
use crate::source::{Item, Stream};
use parking_lot::Mutex;
use repository::Error;
use std::io::{self, Cursor, Read, Write as _};
use std::path::Path;
use std::sync::Arc;

/// What the manifest calls the number of files.
pub const FILES: &str = "files";

/// How much is held in memory of the items that become a file each: their names are part of what is answered, and a snapshot's names are
/// known before anything is read.
const MOST_HELD: u64 = 64 << 20;

/// Every file of the export below `root`.
pub fn items(api: &Api, steps: &[ExportStep], root: &Path, facts: &Arc<Mutex<Facts>>) -> anyhow::Result<Vec<Item>> {
    let (mut names, mut items, mut held) = (Names::default(), Vec::new(), 0);
    for step in steps {
        if step.name.has_fields() {
            let count = each(api, step, &mut |name, content: String| {
                held += content.len() as u64;
                if held > MOST_HELD {
                    return Err(refused(
                        step,
                        &format!("the items are more than {} MiB", MOST_HELD >> 20),
                        "Store them in one file, with a name without fields: such a file may be of any size.",
                    ));
                }
                let path = root.join(names.add(&name).map_err(|why| refused(step, &why, UNIQUE))?);
                items.push(Item::Stream(Stream::of(path, content.into_bytes())));
                Ok(())
            })?;
            facts.lock().rows.insert(step.store.clone(), count);
        } else {
            let path = root.join(names.add(&step.store).map_err(|why| refused(step, &why, UNIQUE))?);
            items.push(Item::Stream(one_file(api, step, &path, facts)));
        }
    }
    if items.is_empty() {
        let message = "the application has nothing to store".to_owned();
        let hint = "Check the requests, and whether the key or user may see what there is.".to_owned();
        return Err(Error::Refused { message, hint }.into());
    }
    facts.lock().more.insert(FILES.to_owned(), items.len().into());
    Ok(items)
}

const UNIQUE: &str = "Use fields in `store` that are different for every item, such as `{id}`.";

/// Every item of a step with the name of its file; how many there are.
fn each(
    api: &Api,
    step: &ExportStep,
    take: &mut dyn FnMut(String, String) -> anyhow::Result<()>,
) -> anyhow::Result<u64> {
    let mut pages = Pages::new(api, step);
    let mut count = 0;
    while let Some(page) = pages.next()? {
        for item in page {
            let name = step.name.fill(&item, template::in_name);
            let name = name.map_err(|why| refused(step, &why, "Check `store`, and `items` in `paging`."))?;
            take(name, format!("{}\n", item.get()))?;
            count += 1;
        }
    }
    Ok(count)
}

fn one_file(api: &Api, step: &ExportStep, path: &Path, facts: &Arc<Mutex<Facts>>) -> Stream {
    let (facts, store) = (Arc::clone(facts), step.store.clone());
    if step.paging.is_some() {
        let list = Arc::new(Mutex::new(List::new(Pages::new(api, step))));
        let reader = Box::new(Shared(Arc::clone(&list)));
        let finish = Box::new(move || {
            facts.lock().rows.insert(store, list.lock().count);
            Ok(())
        });
        return Stream {
            path: path.to_owned(),
            reader,
            finish,
        };
    }
    let check = Arc::new(Mutex::new(step.is_json().then(JsonCheck::new)));
    let reader = Box::new(Whole {
        api: api.clone(),
        step: step.clone(),
        answer: None,
        check: Arc::clone(&check),
    });
    let step = step.clone();
    let finish = Box::new(move || {
        if let Some(check) = check.lock().take() {
            let count = check.finish().map_err(|why| Error::Refused {
                message: format!("the answer to `{}` is not whole JSON: {why}", step.request()),
                hint: "Check that the path leads to the API and not to a web page; then look at the server's log."
                    .to_owned(),
            })?;
            facts.lock().rows.insert(store, count);
        }
        Ok(())
    });
    Stream {
        path: path.to_owned(),
        reader,
        finish,
    }
}

/// One answer, as it comes.
struct Whole {
    api: Api,
    step: ExportStep,
    answer: Option<Answer>,
    check: Arc<Mutex<Option<JsonCheck>>>,
}

impl Read for Whole {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let answer = match &mut self.answer {
            Some(answer) => answer,
            None => {
                let url = self.api.at(&self.step.path).map_err(|error| api::as_io(error.into()))?;
                self.answer.insert(self.api.send(self.step.method.clone(), &url, None)?)
            }
        };
        let read = answer.read(buffer)?;
        if let Some(check) = &mut *self.check.lock() {
            check.write_all(&buffer[..read])?;
        }
        Ok(read)
    }
}

/// The items of all pages, as one array.
struct List {
    pages: Pages,
    text: Cursor<Vec<u8>>,
    count: u64,
    is_begun: bool,
    is_ended: bool,
}

impl List {
    fn new(pages: Pages) -> Self {
        Self {
            pages,
            text: Cursor::default(),
            count: 0,
            is_begun: false,
            is_ended: false,
        }
    }

    fn write(&mut self, items: &Items) -> Vec<u8> {
        let mut text = Vec::new();
        for item in items {
            text.extend_from_slice(if self.is_begun { b",\n" } else { b"[\n" });
            text.extend_from_slice(item.get().as_bytes());
            self.is_begun = true;
            self.count += 1;
        }
        text
    }
}

impl Read for List {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.text.read(buffer)? {
                0 if self.is_ended => return Ok(0),
                0 => {}
                read => return Ok(read),
            }
            let text = match self.pages.next().map_err(api::as_io)? {
                Some(items) => self.write(&items),
                None => {
                    self.is_ended = true;
                    if self.is_begun {
                        b"\n]\n".to_vec()
                    } else {
                        b"[]\n".to_vec()
                    }
                }
            };
            self.text = Cursor::new(text);
        }
    }
}

struct Shared(Arc<Mutex<List>>);

impl Read for Shared {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.lock().read(buffer)
    }
}

fn refused(step: &ExportStep, why: &str, hint: &str) -> anyhow::Error {
    let message = format!("`{}`: {why}", step.request());
    let hint = hint.to_owned();
    Error::Refused { message, hint }.into()
}
