//! `callhop doctor`.

use super::{Done, Exit, Failure, output};
use crate::{
    config::Config,
    doctor::{self, Finding, Verdict},
};

pub(super) async fn run(config: &Config, json: bool) -> Done {
    let findings = doctor::examine(config).await;
    if json {
        output::json(&findings)?;
    } else {
        print(&findings)?;
    }
    let broken = findings
        .iter()
        .filter(|finding| finding.verdict == Verdict::Broken)
        .count();
    if broken == 0 {
        Ok(())
    } else {
        Err(Failure::silent(Exit::Failed))
    }
}

fn print(findings: &[Finding]) -> Done {
    for finding in findings {
        let mark = match finding.verdict {
            Verdict::Good => "ok      ",
            Verdict::Doubtful => "doubtful",
            Verdict::Broken => "BROKEN  ",
        };
        output::line(format_args!(
            "{mark}  {}: {}",
            finding.subject, finding.what
        ))?;
        if let Some(cure) = &finding.cure {
            output::line(format_args!("          cure: {cure}"))?;
        }
    }
    let count = |verdict| findings.iter().filter(|f| f.verdict == verdict).count();
    output::line(format_args!(
        "\n{} ok, {} doubtful, {} broken",
        count(Verdict::Good),
        count(Verdict::Doubtful),
        count(Verdict::Broken)
    ))
}
