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
pub mod push;
pub mod push_back;
pub mod push_digits;
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
    /// Why it can't be played on the fake switch, where it can't.
    pub not_on_fake: Option<&'static str>,
    /// Plays it.
    pub play: fn(&mut Stage<'_>) -> Result<()>,
}

impl Story {
    /// A story with the controller, on both switches.
    const fn new(name: &'static str, play: fn(&mut Stage<'_>) -> Result<()>) -> Self {
        Self {
            name,
            controller: true,
            not_on_fake: None,
            play,
        }
    }

    /// Needs no controller.
    const fn bare(mut self) -> Self {
        self.controller = false;
        self
    }

    /// Only a real switch can play it.
    const fn not_on_fake(mut self, why: &'static str) -> Self {
        self.not_on_fake = Some(why);
        self
    }
}

/// Every story, in the order in which they are played.
#[must_use]
pub fn all() -> Vec<Story> {
    [
        bare::STORIES,
        pull::STORIES,
        push::STORIES,
        push_back::STORIES,
        push_digits::STORIES,
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
