//! `callhop guide`.

use std::collections::BTreeSet;

use callhop_calls::id::Domain;
use clap::Args;

use super::{Done, Exit, Failure, open_store, output};
use crate::{config::Config, guide};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  callhop guide\n  callhop guide --domain example.com --html > guide.html"
)]
pub(super) struct Guide {
    /// Whose codes and extensions; needed if there are several domains
    #[arg(long)]
    domain: Option<Domain>,
    /// A page for a browser, which prints on one side of A4
    #[arg(long)]
    html: bool,
}

pub(super) async fn run(config: &Config, wanted: Guide) -> Done {
    let extensions = open_store(config).await?.load().await?.extensions;
    let domains: BTreeSet<&Domain> = extensions
        .iter()
        .map(|extension| &extension.id.domain)
        .chain(config.domains.keys())
        .collect();
    let domain = match (&wanted.domain, domains.len()) {
        (Some(domain), _) => Some(domain),
        (None, 0 | 1) => domains.first().copied(),
        (None, _) => {
            let names: Vec<&str> = domains.iter().map(|domain| domain.as_str()).collect();
            return Err(Failure::new(
                Exit::Usage,
                anyhow::anyhow!(
                    "there are several domains, name one with --domain: {}",
                    names.join(", ")
                ),
            ));
        }
    };
    let policy = match domain {
        Some(domain) => config.policy(domain),
        None => config.default_policy(),
    };
    let guide = guide::Guide::new(domain, &policy, &extensions);
    let printed = if wanted.html {
        guide.html()
    } else {
        guide.text()
    };
    output::text(printed)
}
