//! `/v1/guide`: the page for those who dial.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::response::Html;
use callhop_calls::id::Domain;
use serde::Deserialize;
use utoipa::IntoParams;

use super::extract::Query;
use super::{Failures, Problem};
use crate::controller::Controller;
use crate::guide::Guide;
use crate::http::{page, schema};

/// Whose guide.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Whose {
    /// The domain; needed if there are several.
    #[param(required = false, nullable = false, value_type = schema::DomainName)]
    domain: Option<Domain>,
}

/// The guide for those who dial in a domain: its codes, its extensions' numbers and what each tone means. One page, to be printed.
#[utoipa::path(get, path = "/v1/guide", tag = "live", params(Whose), responses(
    (status = 200, content_type = "text/html; charset=utf-8", body = String), Failures))]
pub(crate) async fn show(
    State(controller): State<Controller>,
    Query(Whose { domain }): Query<Whose>,
) -> Result<Html<String>, Problem> {
    let extensions = controller.store().load().await?.extensions;
    let domains: BTreeSet<&Domain> = extensions.iter().map(|it| &it.id.domain).collect();
    let mut domains = domains.into_iter();
    let domain = match (domain, domains.next(), domains.next()) {
        (_, None, _) => return Err(Problem::not_found("there are no extensions yet")),
        (None, Some(only), None) => only.clone(),
        (None, Some(_), Some(_)) => {
            return Err(Problem::bad("there are several domains, name one"));
        }
        (Some(domain), Some(_), _) if extensions.iter().any(|it| it.id.domain == domain) => domain,
        (Some(domain), Some(_), _) => {
            let problem = format!("no extension is in the domain {domain}");
            return Err(Problem::not_found(problem));
        }
    };
    let asked = domain.clone();
    let policy = controller
        .core()
        .view(move |core, _| core.policy(&asked).clone());
    let policy = policy.await.ok_or_else(Problem::ending)?;
    let guide = Guide::new(Some(&domain), &policy, &extensions);
    Ok(Html(guide.page(page::STYLE_OF_GUIDE)))
}
