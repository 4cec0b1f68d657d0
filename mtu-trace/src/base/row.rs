//! Values that stand for a row of a table of definitions.

/// Makes a newtype of a reference to its definition: two are equal if they are the same row, and a row
/// is shown by the `name` of its definition.
macro_rules! row {
    ($(#[$doc:meta])* $name:ident of $definition:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub struct $name(&'static $definition);

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                std::ptr::eq(self.0, other.0)
            }
        }

        impl Eq for $name {}

        impl std::fmt::Debug for $name {
            fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                to.write_str(self.0.name)
            }
        }
    };
    ($(#[$doc:meta])* $name:ident of $definition:ty, values $table:expr) => {
        crate::base::row::row!($(#[$doc])* $name of $definition);

        impl clap::ValueEnum for $name {
            fn value_variants<'a>() -> &'a [Self] {
                $table
            }

            fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
                let definition = self.0;
                Some(clap::builder::PossibleValue::new(definition.name).help(definition.help))
            }
        }
    };
}

pub(crate) use row;
