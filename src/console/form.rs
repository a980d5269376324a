//! What a form sent. A field that is not there is an empty one.

use axum::extract::{FromRequest, Request};
use serde_json::{Map, Value};

use crate::http::body::Fields;

/// The fields of a form, as text.
#[derive(Debug, Default)]
pub struct Form(Map<String, Value>);

impl Form {
    /// Without the spaces that come along when something is pasted.
    pub fn text(&self, name: &str) -> &str {
        self.0.get(name).and_then(Value::as_str).unwrap_or_default().trim()
    }

    /// What is filled in, `None` when nothing is.
    pub fn filled(&self, name: &str) -> Option<&str> {
        Some(self.text(name)).filter(|text| !text.is_empty())
    }

    /// A list: separated by commas, spaces or line breaks.
    pub fn list(&self, name: &str) -> Vec<String> {
        let separators = |char: char| char.is_whitespace() || char == ',' || char == '，';
        self.text(name).split(separators).filter(|text| !text.is_empty()).map(str::to_owned).collect()
    }
}

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = <Fields as FromRequest<S>>::Rejection;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let Fields(fields) = Fields::from_request(request, state).await?;
        Ok(Self(fields.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_trimmed_and_lists_are_split() {
        let fields = [("a", " x \n"), ("list", "b, c\nd，e  "), ("none", " ")];
        let form = Form(fields.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect());
        assert_eq!((form.text("a"), form.text("missing")), ("x", ""));
        assert_eq!((form.filled("a"), form.filled("none")), (Some("x"), None));
        assert_eq!(form.list("list"), ["b", "c", "d", "e"]);
    }
}
