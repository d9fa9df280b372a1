//! Who answers.

record! {
    /// What a daemon says about itself.
    #[derive(Eq)]
    pub struct Query "t" {
        /// `xenops`.
        pub name: String,
        /// Who made it.
        pub vendor: String,
        /// The interface's version.
        pub version: String,
        /// Optional parts of the interface.
        pub features: Vec<String>,
        /// A UUID, fresh at each start.
        pub instance_id: String,
    }
}
