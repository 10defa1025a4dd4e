//! Built-in languages.

/// Each language's tag and file.
pub(crate) const FILES: [(&str, &str); 13] = [
    ("de", include_str!("../../config/locales/de.toml")),
    ("en", include_str!("../../config/locales/en.toml")),
    ("es", include_str!("../../config/locales/es.toml")),
    ("fr", include_str!("../../config/locales/fr.toml")),
    ("hu", include_str!("../../config/locales/hu.toml")),
    ("it", include_str!("../../config/locales/it.toml")),
    ("ja", include_str!("../../config/locales/ja.toml")),
    ("ko", include_str!("../../config/locales/ko.toml")),
    ("nl", include_str!("../../config/locales/nl.toml")),
    ("pl", include_str!("../../config/locales/pl.toml")),
    ("pt-BR", include_str!("../../config/locales/pt-BR.toml")),
    ("ru", include_str!("../../config/locales/ru.toml")),
    ("zh", include_str!("../../config/locales/zh.toml")),
];
