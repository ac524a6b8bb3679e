//! The stories, sorted into files by what they are about.
//!
//! A story begins on a site that was reset, and may leave anything behind. One function is one story; the table of each
//! file is the list that a run plays.

use anyhow::Result;

use crate::stage::Stage;

pub mod bare;
pub mod faults;
pub mod held;
pub mod hunting;
pub mod identity;
pub mod pull;
pub mod ringing;
pub mod routing;
pub mod security;

/// A story.
#[derive(Clone, Copy)]
pub struct Story {
    /// `file/name`, what a filter looks at.
    pub name: &'static str,
    /// Needs the controller; the others are about the switch and the lab alone.
    pub controller: bool,
    /// Plays it.
    pub play: fn(&mut Stage<'_>) -> Result<()>,
}

/// Every story, in the order in which they are played.
#[must_use]
pub fn all() -> Vec<Story> {
    [
        bare::STORIES,
        pull::STORIES,
        ringing::STORIES,
        held::STORIES,
        routing::STORIES,
        hunting::STORIES,
        faults::STORIES,
        identity::STORIES,
        security::STORIES,
    ]
    .concat()
}
