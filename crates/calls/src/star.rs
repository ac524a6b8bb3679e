//! Star codes: what a device may dial.
//!
//! Owns the codes of a domain and turns the digits that were dialled into one of the things that a person can ask for.
//! Refuses everything else with its own cause. Grammar:
//!
//! ```text
//! dialled = pull [ number ] / route-here / route-to number / route-reset
//! ```

use serde::{Deserialize, Serialize};

use crate::id::{IdError, Number};

/// The codes of a domain. None is the beginning of another one, except that a number may follow `pull` and `route_to`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Features {
    /// Pulls a call to this device, `*33`.
    pub pull: String,
    /// All future calls ring only here, `*50`.
    pub route_here: String,
    /// All future calls ring only there, `*49` and a number.
    pub route_to: String,
    /// Everything rings again, `*51`.
    pub route_reset: String,
    /// Pushes the call in which it is dialled, `*9`. Nobody calls it, so it may be the beginning of another code.
    pub push: String,
}

impl Default for Features {
    fn default() -> Self {
        Self {
            pull: "*33".into(),
            route_here: "*50".into(),
            route_to: "*49".into(),
            route_reset: "*51".into(),
            push: "*9".into(),
        }
    }
}

/// Why a set of codes can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FeatureError {
    /// A code is empty, too long, or has something other than digits, `*` and `#` in it.
    #[error("features.{key}: {code:?} is no star code: 1 to 10 of the characters 0-9, * and #")]
    NotACode {
        /// The key of the configuration.
        key: &'static str,
        /// Its value.
        code: String,
    },
    /// One code is the beginning of another one, so that one of them could never be dialled.
    #[error("features.{longer_key} = {longer:?} begins with features.{shorter_key} = {shorter:?}")]
    Ambiguous {
        /// The key of the shorter code.
        shorter_key: &'static str,
        /// The shorter code.
        shorter: String,
        /// The key of the longer code.
        longer_key: &'static str,
        /// The longer code.
        longer: String,
    },
}

/// What a person asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StarCode {
    /// Bring a call here, from any own device or from that one.
    Pull(Option<Number>),
    /// Ring only this device.
    RouteHere,
    /// Ring only that device, or that colleague.
    RouteTo(Number),
    /// Ring everything again.
    RouteReset,
}

/// Why what was dialled is no star code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StarError {
    /// It begins with none of the codes, or goes on after a code that takes no number.
    #[error("{0:?} is no star code of this domain")]
    Unknown(String),
    /// A number has to follow this code.
    #[error("{0} needs a number behind it")]
    NumberMissing(String),
    /// What follows is not a number.
    #[error("behind {code}: {source}")]
    BadNumber {
        /// The code.
        code: String,
        /// What is wrong with the number.
        source: IdError,
    },
}

impl Features {
    /// The codes that are called, with the names of their keys.
    #[must_use]
    pub fn codes(&self) -> [(&'static str, &str); 4] {
        [
            ("pull", &self.pull),
            ("route_here", &self.route_here),
            ("route_to", &self.route_to),
            ("route_reset", &self.route_reset),
        ]
    }

    /// Whether every code can be dialled.
    ///
    /// # Errors
    /// The first code that is none, or that hides another one.
    pub fn check(&self) -> Result<(), FeatureError> {
        let codes = self.codes();
        for (key, code) in codes.into_iter().chain([("push", self.push.as_str())]) {
            let fits = (1..=10).contains(&code.len())
                && code
                    .bytes()
                    .all(|b| b.is_ascii_digit() || matches!(b, b'*' | b'#'));
            if !fits {
                return Err(FeatureError::NotACode {
                    key,
                    code: code.to_owned(),
                });
            }
        }
        for (shorter_key, shorter) in codes {
            for (longer_key, longer) in codes {
                if shorter_key != longer_key && longer.starts_with(shorter) {
                    return Err(FeatureError::Ambiguous {
                        shorter_key,
                        shorter: shorter.to_owned(),
                        longer_key,
                        longer: longer.to_owned(),
                    });
                }
            }
        }
        Ok(())
    }

    /// What was dialled.
    ///
    /// # Errors
    /// It is no star code of this domain, or its number is missing or bad.
    pub fn parse(&self, dialled: &str) -> Result<StarCode, StarError> {
        let bad = |code: &str, source| StarError::BadNumber {
            code: code.to_owned(),
            source,
        };
        if let Some(rest) = dialled.strip_prefix(&self.pull) {
            return match rest {
                "" => Ok(StarCode::Pull(None)),
                number => number
                    .parse()
                    .map(|n| StarCode::Pull(Some(n)))
                    .map_err(|e| bad(&self.pull, e)),
            };
        }
        if let Some(rest) = dialled.strip_prefix(&self.route_to) {
            return match rest {
                "" => Err(StarError::NumberMissing(self.route_to.clone())),
                number => number
                    .parse()
                    .map(StarCode::RouteTo)
                    .map_err(|e| bad(&self.route_to, e)),
            };
        }
        if dialled == self.route_here {
            return Ok(StarCode::RouteHere);
        }
        if dialled == self.route_reset {
            return Ok(StarCode::RouteReset);
        }
        Err(StarError::Unknown(dialled.chars().take(40).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(dialled: &str, expect: &str) {
        let found = match Features::default().parse(dialled) {
            Ok(code) => format!("{code:?}"),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expect, "{dialled}");
    }

    #[test]
    fn what_can_be_dialled() {
        check("*33", "Pull(None)");
        check("*331002", "Pull(Some(1002))");
        check("*50", "RouteHere");
        check("*491002", "RouteTo(1002)");
        check("*51", "RouteReset");
        check("*49", "*49 needs a number behind it");
        check("*501", "\"*501\" is no star code of this domain");
        check("1002", "\"1002\" is no star code of this domain");
        check("", "\"\" is no star code of this domain");
        check(
            "*33${system}",
            "behind *33: a number has the character '$' at position 1, which is not allowed",
        );
        check(
            &format!("*49{}", "1".repeat(300)),
            "behind *49: a number has 300 characters, at most 20 are allowed",
        );
    }

    #[test]
    fn codes_that_hide_each_other_are_refused() {
        let codes = |pull: &str, here: &str| Features {
            pull: pull.into(),
            route_here: here.into(),
            ..Features::default()
        };
        assert_eq!(Features::default().check(), Ok(()));
        let message = |f: Features| f.check().err().map(|e| e.to_string()).unwrap_or_default();
        assert_eq!(
            message(codes("*5", "*50")),
            "features.route_here = \"*50\" begins with features.pull = \"*5\""
        );
        assert_eq!(
            message(codes("*50", "*50")),
            "features.route_here = \"*50\" begins with features.pull = \"*50\""
        );
        assert_eq!(
            message(codes("*33 ", "*50")),
            "features.pull: \"*33 \" is no star code: 1 to 10 of the characters 0-9, * and #"
        );
        assert_eq!(
            message(codes("", "*50")),
            "features.pull: \"\" is no star code: 1 to 10 of the characters 0-9, * and #"
        );
    }
}
