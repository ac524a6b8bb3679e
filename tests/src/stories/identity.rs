//! Who is who: tenants with the same numbers, forged identities. DESIGN 2.1, items 2 and 15 of the list.

use anyhow::{Context, Result, ensure};

use super::{Story, routing::ALL};
use crate::{
    cast::Phone::{Out1, P1001, P1002, P2001, P2002, X1001, X1002},
    site::{Dial, Forgery, Kind},
    stage::{SOON, Stage},
};

/// The stories of this file.
pub const STORIES: &[Story] = &[
    Story::new("identity/two_domains_pull", two_domains_pull),
    Story::new("identity/two_domains_route", two_domains_route),
    Story::new(
        "identity/extension_with_the_number_of_a_device",
        same_number,
    ),
    Story::new("identity/forged_headers", forged_headers),
    Story::new("identity/forged_realm", forged_realm)
        .not_on(&[(Kind::Fake, "it checks no digest")]),
];

fn two_domains_pull(stage: &mut Stage<'_>) -> Result<()> {
    let lab = stage.outbound(P1001, "01555", Out1)?;
    for number in ["*33", "*331001"] {
        stage.refused(X1002, number)?;
    }
    let other = stage.outbound(X1001, "1002", X1002)?;
    stage.untouched(lab)?;
    // Each finds its own one.
    let (lab, _) = stage.moves(lab, P1002, "*33")?;
    stage.untouched(other)?;
    stage.over(lab)?;
    stage.refused(P1001, "*33")?;
    stage.untouched(other)?;
    stage.over(other)
}

fn two_domains_route(stage: &mut Stage<'_>) -> Result<()> {
    stage.confirmed(P1002, "*50")?;
    // 6 and a number reaches the other domain from outside.
    stage.rings_exactly(Out1, "61000", &[X1001, X1002], SOON)?;
    stage.confirmed(X1001, "*50")?;
    stage.rings_exactly(Out1, "61000", &[X1001], SOON)?;
    stage.rings_exactly(Out1, "1000", &[P1002], SOON)?;
    // 1003 is a device there, not here.
    stage.refused(X1001, "*491003")?;
    stage.refused(X1001, "*492001")?;
    stage.confirmed(X1002, "*51")?;
    stage.rings_exactly(Out1, "61000", &[X1001, X1002], SOON)?;
    stage.rings_exactly(Out1, "1000", &[P1002], SOON)
}

/// 2001 is an extension, and one of its devices: `*33` and the number means the device, a call to it the extension.
fn same_number(stage: &mut Stage<'_>) -> Result<()> {
    stage.rings_exactly(Out1, "2001", &[P2001, P2002], SOON)?;
    stage.confirmed(P2001, "*50")?;
    stage.rings_exactly(Out1, "2001", &[P2001], SOON)?;
    stage.rings_exactly(Out1, "1000", ALL, SOON)?;
    stage.confirmed(P2001, "*51")?;
    let talk = stage.outbound(P2001, "01555", Out1)?;
    let (talk, _) = stage.moves(talk, P2002, "*332001")?;
    stage.over(talk)
}

/// The colleague says that it is 1001 or 1002, in every place where a phone can say who it is.
fn forged_headers(stage: &mut Stage<'_>) -> Result<()> {
    let talk = stage.outbound(P1001, "01555", Out1)?;
    let forged: [&[(&str, &str)]; 5] = [
        &[("From", "\"1002\" <sip:1002@lab.test>")],
        &[("P-Asserted-Identity", "\"1002\" <sip:1002@lab.test>")],
        &[(
            "Remote-Party-ID",
            "\"1002\" <sip:1002@lab.test>;party=calling;screen=yes",
        )],
        &[
            ("X-user_name", "1002"),
            ("P-user_name", "1002"),
            ("X-domain_name", "lab.test"),
        ],
        &[
            ("From", "\"1002\" <sip:1002@lab.test>"),
            ("P-Asserted-Identity", "<sip:1002@lab.test>"),
            ("X-sip_authorized", "true"),
        ],
    ];
    for headers in forged {
        let own_from = headers.iter().all(|(name, _)| *name != "From");
        for number in ["*33", "*331001"] {
            for phone in [P2001, X1002] {
                // A From of the other domain asks for that domain's password, which 1002@other.test does not have.
                let is_heard =
                    own_from || phone != X1002 && !stage.site.kind().differs().from_is_the_account;
                if is_heard {
                    stage
                        .refused_with(phone, number, headers)
                        .with_context(|| format!("{headers:?}"))?;
                } else {
                    let call = stage.site.dial(phone, number, Dial { headers })?;
                    let report = stage.ended(call)?;
                    ensure!(!report.was_answered, "{headers:?} was answered");
                    // The fake checks no digest, and refuses at the star code.
                    ensure!(
                        !stage.site.kind().has_packets() || [401, 403, 407].contains(&report.code),
                        "{headers:?}: {report:?}"
                    );
                }
            }
        }
    }
    stage.untouched(talk)?;
    stage.over(talk)
}

/// On a profile with a forced domain the switch lets a client name any realm in its credentials: only the directory's
/// word counts.
fn forged_realm(stage: &mut Stage<'_>) -> Result<()> {
    // Somebody talks in the other domain, and 1001 there could pull it.
    let talk = stage.outbound(X1002, "01555", Out1)?;
    for from in ["<sip:1001@lab.test>", "<sip:1001@other.test>"] {
        for number in ["*33", "*331002"] {
            let codes = stage.site.forge(Forgery {
                as_phone: P1001,
                realm: "other.test",
                from,
                headers: &[],
                number,
            })?;
            ensure!(
                codes.iter().all(|code| !(200..300).contains(code)),
                "{number} by {from}: {codes:?}"
            );
            ensure!(!codes.is_empty(), "{number} by {from}: no answer");
        }
    }
    stage.untouched(talk)?;
    stage.over(talk)
}
