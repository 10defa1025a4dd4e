//! Categories and category sets. A category is a small integer, a set is one machine word.

use thiserror::Error;

/// One of a site's categories, as an index into its [`Categories`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Category(u8);

impl Category {
    /// Strictly necessary: always granted, cannot be refused.
    pub const NECESSARY: Self = Self(0);
    /// Preferences such as language or search settings.
    pub const FUNCTIONAL: Self = Self(1);
    /// Performance and analytics.
    pub const ANALYTICS: Self = Self(2);
    /// Advertising.
    pub const TARGETING: Self = Self(3);
    /// Social sharing buttons and networks.
    pub const SOCIAL: Self = Self(4);

    /// The index among the site's categories, from 0 (necessary) to 31.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// A set of categories, as a bit mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CategorySet(u32);

impl CategorySet {
    /// Only the strictly necessary category.
    pub const NECESSARY: Self = Self(1);
    /// The empty set.
    pub const EMPTY: Self = Self(0);

    /// Whether the category is in the set.
    pub fn contains(self, category: Category) -> bool {
        self.0 & (1 << category.0) != 0
    }

    /// Adds a category.
    pub fn insert(&mut self, category: Category) {
        self.0 |= 1 << category.0;
    }

    /// The union of both sets.
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The intersection of both sets.
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The categories in this set that are not in the other.
    pub fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl FromIterator<Category> for CategorySet {
    fn from_iter<I: IntoIterator<Item = Category>>(categories: I) -> Self {
        let mut set = Self::EMPTY;
        categories.into_iter().for_each(|category| set.insert(category));
        set
    }
}

/// Why a category could not be added.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum CategoryError {
    /// The limit of 32 categories is reached.
    #[error("at most {max} categories are allowed", max = Categories::MAX)]
    TooMany,
    /// The name already exists.
    #[error("duplicate category")]
    Exists,
    /// The name has characters that the consent cookie cannot contain.
    #[error("a category name is 1 to 32 of a-z, 0-9, `-` and `_`")]
    BadName,
}

/// The names of the categories in use: the five built-in ones, then those of the site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Categories {
    names: Vec<String>,
}

impl Default for Categories {
    fn default() -> Self {
        let five = ["necessary", "functional", "analytics", "targeting", "social"];
        Self { names: five.map(str::to_owned).to_vec() }
    }
}

impl Categories {
    /// Maximum number of categories.
    pub const MAX: usize = 32;

    /// Adds a custom category.
    ///
    /// # Errors
    /// If the name exists, has characters other than `a-z0-9_-`, or the limit of 32 categories is
    /// reached.
    pub fn add(&mut self, name: &str) -> Result<Category, CategoryError> {
        let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
        if name.is_empty() || name.len() > 32 || !name.bytes().all(plain) {
            return Err(CategoryError::BadName);
        }
        if self.find(name).is_some() {
            return Err(CategoryError::Exists);
        }
        if self.names.len() >= Self::MAX {
            return Err(CategoryError::TooMany);
        }
        self.names.push(name.to_owned());
        u8::try_from(self.names.len() - 1).map(Category).map_err(|_| CategoryError::TooMany)
    }

    /// The category of this name.
    pub fn find(&self, name: &str) -> Option<Category> {
        let at = self.names.iter().position(|known| known == name)?;
        u8::try_from(at).ok().map(Category)
    }

    /// The name of a category.
    pub fn name(&self, category: Category) -> &str {
        self.names.get(category.index()).map_or("unknown", String::as_str)
    }

    /// Every category with its name, necessary first.
    pub fn iter(&self) -> impl Iterator<Item = (Category, &str)> {
        (0_u8..).map(Category).zip(self.names.iter().map(String::as_str))
    }

    /// The set of all categories.
    pub fn all(&self) -> CategorySet {
        self.iter().map(|(category, _)| category).collect()
    }

    /// The names of the categories in a set, in order.
    pub fn names_of(&self, set: CategorySet) -> Vec<&str> {
        self.iter().filter(|(category, _)| set.contains(*category)).map(|(_, name)| name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_five_categories_of_the_notice_come_first() {
        let categories = Categories::default();
        assert_eq!(categories.find("necessary"), Some(Category::NECESSARY));
        assert_eq!(categories.find("functional"), Some(Category::FUNCTIONAL));
        assert_eq!(categories.find("analytics"), Some(Category::ANALYTICS));
        assert_eq!(categories.find("targeting"), Some(Category::TARGETING));
        assert_eq!(categories.find("social"), Some(Category::SOCIAL));
    }

    #[test]
    fn custom_categories_fill_up_to_thirty_two() {
        let mut categories = Categories::default();
        for number in 5..Categories::MAX {
            assert!(categories.add(&format!("custom-{number}")).is_ok());
        }
        assert_eq!(categories.add("one-more"), Err(CategoryError::TooMany));
        assert_eq!(categories.add("social"), Err(CategoryError::Exists));
        assert_eq!(categories.add("a+b"), Err(CategoryError::BadName));
        assert_eq!(categories.names_of(categories.all()).len(), 32);
    }
}
