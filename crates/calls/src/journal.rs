//! The journal of moves: what is under way, so that it can be finished, undone or closed after a crash.
//!
//! Owns the values that are written down, and their words. Refuses to be a copy of the call: who talks to whom is asked of
//! the switch; an entry only says which legs a move is about and how far it had come. An entry is written before the switch
//! is told anything.

use serde::{Deserialize, Serialize};

use crate::id::{ChannelId, DeviceId, ExtensionId, MoveId, SwitchName, UnixTime};

/// The two moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `*33`
    Pull,
    /// `*9`
    Push,
}

/// How far an open move had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Pull: the new leg's dialplan is told to intercept.
    Asked,
    /// Pull or push over the API: the target rings, and the call is where it was.
    Offered,
    /// Push: the call is split, the number is being dialled.
    Collecting,
    /// Push: the target rings.
    Ringing,
    /// Push: the target has answered, the bridge is on its way.
    Completing,
    /// Push: the pusher gets the call back.
    GivingBack,
    /// Push: the pusher has hung up and the target can't be had; the pusher's extension rings.
    Recalling,
}

/// How a move ended, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The far end talks to the new leg.
    Moved,
    /// Nothing was moved: everything is as it was before, or as it would be without the move.
    NotMoved,
    /// The far end talks to the person who pushed it, on another device, after that person had hung up.
    Recalled,
    /// The far end has hung up.
    FarEndGone,
}

macro_rules! words {
    ($type:ident { $($variant:ident = $word:literal,)* }) => {
        impl $type {
            /// The word that is written for it.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl std::str::FromStr for $type {
            type Err = UnknownWord;

            fn from_str(word: &str) -> Result<Self, UnknownWord> {
                match word {
                    $($word => Ok(Self::$variant),)*
                    _ => Err(UnknownWord(word.to_owned())),
                }
            }
        }
    };
}

words!(Kind { Pull = "pull", Push = "push", });
words!(Stage {
    Asked = "asked",
    Offered = "offered",
    Collecting = "collecting",
    Ringing = "ringing",
    Completing = "completing",
    GivingBack = "giving_back",
    Recalling = "recalling",
});
words!(Outcome {
    Moved = "moved",
    NotMoved = "not_moved",
    Recalled = "recalled",
    FarEndGone = "far_end_gone",
});

/// A word that nobody writes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a word of the journal")]
pub struct UnknownWord(pub String);

/// A move that has begun and not ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OpenMove {
    /// Which one.
    pub id: MoveId,
    /// Pull or push.
    pub kind: Kind,
    /// Where.
    pub switch: SwitchName,
    /// Who moves.
    pub extension: ExtensionId,
    /// The device that had the call.
    pub from: DeviceId,
    /// Where it shall go: a device for a pull; for a push what was dialled, once it is.
    pub to: Option<String>,
    /// The leg at `from`.
    pub old_leg: ChannelId,
    /// The far end's leg.
    pub far_leg: ChannelId,
    /// The leg that gets the call, for a pull.
    pub new_leg: Option<ChannelId>,
    /// How far it had come.
    pub stage: Stage,
    /// When it began.
    pub started: UnixTime,
}

/// One thing to write into the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A move begins. Written before the switch is told.
    Begun(OpenMove),
    /// A move comes further. Written before the switch is told.
    Stage {
        /// Which one.
        id: MoveId,
        /// How far.
        stage: Stage,
        /// Where it shall go, as far as that is known now.
        to: Option<String>,
    },
    /// A move is over.
    Ended {
        /// Which one.
        id: MoveId,
        /// When.
        at: UnixTime,
        /// How.
        outcome: Outcome,
        /// Why, in one word, where it is not moved.
        cause: Option<String>,
        /// Milliseconds from the star code to the end; `None` if the controller was restarted meanwhile.
        took_ms: Option<u64>,
        /// Milliseconds for which the far leg was in no bridge, where that was measured.
        gap_ms: Option<u64>,
    },
}

/// A move as the journal has it, over or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PastMove {
    /// What it was about, and how far it had come.
    #[serde(flatten)]
    pub begun: OpenMove,
    /// How it ended; `None` while it is under way.
    pub end: Option<PastEnd>,
}

/// The end of a move as the journal has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PastEnd {
    /// When.
    pub at: UnixTime,
    /// How.
    pub outcome: Outcome,
    /// Why, in one word, where it is not moved.
    pub cause: Option<String>,
    /// Milliseconds from the star code to the end; `None` if the controller was restarted meanwhile.
    pub took_ms: Option<u64>,
    /// Milliseconds for which the far leg was in no bridge, where that was measured.
    pub gap_ms: Option<u64>,
}
