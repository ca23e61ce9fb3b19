//! Parts of a restore point that a job made, for the commands that work with them.

use super::Context;
use super::opened::Opened;
use super::selection::FilterArgs;
use crate::engine::manifest::Manifest;
use crate::engine::parts::manifest_of;
use repository::Monitor;
use repository::points::{RestorePoints, Selected};

/// A restore point with its manifest.
pub struct Point {
    opened: Opened,
    /// Which.
    pub selected: Selected,
    /// What the job wrote.
    pub manifest: Manifest,
}

impl Point {
    /// Open the repository, choose the restore point and read its manifest.
    pub fn open(snapshot: &str, filter: &FilterArgs, context: &Context, monitor: &dyn Monitor) -> anyhow::Result<Self> {
        let mut opened = context.open_any(monitor)?;
        let selected = opened.select(snapshot, filter, context, monitor)?;
        let manifest = manifest_of(opened.points(), &selected, monitor)?;
        Ok(Self {
            opened,
            selected,
            manifest,
        })
    }

    /// The repository.
    pub fn points(&self) -> &dyn RestorePoints {
        self.opened.points()
    }
}
