//! The stories, sorted into files by what they are about.
//!
//! A story begins on a site that was reset, and may leave anything behind. One function is one story; the table of each
//! file is the list that a run plays.

use anyhow::Result;

use crate::{site::Kind, stage::Stage};

pub mod bare;
pub mod faults;
pub mod held;
pub mod hunting;
pub mod identity;
pub mod lamps;
pub mod offers;
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
    /// Where it can't be played, and why.
    pub not_on: &'static [(Kind, &'static str)],
    /// Plays it.
    pub play: fn(&mut Stage<'_>) -> Result<()>,
}

impl Story {
    /// A story with the controller, on every switch.
    const fn new(name: &'static str, play: fn(&mut Stage<'_>) -> Result<()>) -> Self {
        Self {
            name,
            controller: true,
            not_on: &[],
            play,
        }
    }

    /// Needs no controller.
    const fn bare(mut self) -> Self {
        self.controller = false;
        self
    }

    /// These switches can't play it.
    const fn not_on(mut self, where_and_why: &'static [(Kind, &'static str)]) -> Self {
        self.not_on = where_and_why;
        self
    }

    /// Why this switch can't play it, if it can't.
    #[must_use]
    pub fn why_not_on(&self, kind: Kind) -> Option<&'static str> {
        let mut all = self.not_on.iter();
        all.find(|(it, _)| *it == kind).map(|(_, why)| *why)
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
        offers::STORIES,
        routing::STORIES,
        lamps::STORIES,
        hunting::STORIES,
        faults::STORIES,
        identity::STORIES,
        security::STORIES,
    ]
    .concat()
}
