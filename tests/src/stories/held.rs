//! `*33` on a call that is held: DESIGN 2.3 (5), item 5 of the list.

use anyhow::Result;

use super::Story;
use crate::{
    cast::Phone,
    site::Sound,
    stage::{Direction, SOON, Stage, Talk},
};

/// The stories of this file.
pub const STORIES: &[Story] = &[
    Story::new("held/by_the_old_device", by_the_old_device),
    Story::new("held/by_the_far_end", by_the_far_end),
];

fn by_the_old_device(stage: &mut Stage<'_>) -> Result<()> {
    for direction in Direction::BOTH {
        let talk = stage.talk(direction, Phone::P1001)?;
        let since = stage.site.now();
        stage.site.hold(talk.near, true)?;
        stage
            .site
            .wait_hears(Phone::Out1, Sound::Music, since, SOON)?;
        let near = stage.dial(Phone::P1002, "*33")?;
        stage.two_way(Phone::Out1, Phone::P1002)?;
        stage.ended(talk.near)?;
        let (talk, _) = stage.moves(
            Talk {
                far: talk.far,
                near,
            },
            Phone::P1003,
            "*33",
        )?;
        stage.over(talk)?;
    }
    Ok(())
}

/// The call moves; both hear each other once the far end resumes.
fn by_the_far_end(stage: &mut Stage<'_>) -> Result<()> {
    for direction in Direction::BOTH {
        let talk = stage.talk(direction, Phone::P1001)?;
        let since = stage.site.now();
        stage.site.hold(talk.far, true)?;
        stage
            .site
            .wait_hears(Phone::P1001, Sound::Music, since, SOON)?;
        let near = stage.dial(Phone::P1002, "*33")?;
        stage.talking(near)?;
        stage.ended(talk.near)?;
        stage.talking(talk.far)?;
        stage.site.hold(talk.far, false)?;
        stage.two_way(Phone::Out1, Phone::P1002)?;
        stage.over(Talk {
            far: talk.far,
            near,
        })?;
    }
    Ok(())
}
