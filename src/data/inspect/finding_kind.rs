//! The faults that are looked for.

use serde::{Serialize, Serializer};

/// What a finding means for a training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It ends a training, takes images from it, or spoils what it learns or measures.
    Error,
    /// Worth knowing, and harmless.
    Note,
}

/// What was found, in the order in which it is reported. The names are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FindingKind {
    /// The folder of a split is not there.
    MissingSplit,
    /// A split has no images.
    EmptySplit,
    /// A class of train has no usable images.
    EmptyClass,
    /// A class of train has fewer than five.
    SmallClass,
    /// A class of valid or test that train lacks.
    UnknownClass,
    /// Classes whose names differ in case or white space alone.
    SimilarClassNames,
    /// A folder whose name cannot be a class name.
    ClassNameNotUtf8,
    /// A file of no bytes.
    EmptyFile,
    /// The name is an image's, the content is not.
    NotAnImage,
    /// HEIC, AVIF and others that this program does not read.
    UnsupportedFormat,
    /// An image of which nothing usable can be decoded.
    Corrupt,
    /// A JPEG that misses more than a tenth of its rows.
    BadlyTruncated,
    /// Beyond what the decoder accepts.
    TooLarge,
    /// The operating system refuses, or the file changes meanwhile.
    Unreadable,
    /// A symlink that leads nowhere.
    BrokenSymlink,
    /// A FIFO, socket or device.
    SpecialFile,
    /// An image outside of the class folders.
    StrayImage,
    /// An image whose extension is not that of one.
    UnlistedImage,
    /// The same bytes in two classes.
    DuplicateAcrossClasses,
    /// The same bytes in two splits.
    DuplicateAcrossSplits,
    /// Pictures that look alike in two classes.
    NearDuplicateAcrossClasses,
    /// Pictures that look alike in two splits.
    NearDuplicateAcrossSplits,
    /// One colour all over.
    BlankImage,
    /// A side of fewer than 32 pixels.
    TinyImage,
    /// A JPEG whose end is missing, or that is damaged, in part.
    Truncated,
    /// The same bytes in one class of one split.
    Duplicate,
    /// Pictures that look alike in one class of one split.
    NearDuplicate,
    /// A class without usable images in valid or test.
    UnmeasuredClass,
    /// The largest class of train has more than ten times the images of the smallest.
    Imbalance,
    /// One side is more than four times the other.
    ExtremeAspect,
    /// More than 50 million pixels.
    HugeImage,
    /// The extension is that of another format.
    WrongExtension,
    /// EXIF data says that the picture lies on its side, on its head, or is mirrored.
    ExifRotated,
    /// Several pictures or pages.
    Animation,
    /// Some pixels are not opaque.
    Transparent,
    /// No colours.
    Grayscale,
    /// Inks instead of colours.
    Cmyk,
    /// More than 8 bits per sample.
    SixteenBit,
    /// A folder below that of a class.
    NestedFolder,
    /// A symlink to a folder that the class already includes.
    RepeatedFolder,
    /// A file name that reports cannot show as it is.
    FileNameNotUtf8,
    /// A file that is no image, nor called one.
    OtherFile,
}

impl FindingKind {
    /// In kebab case.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// Whether it would hurt a training.
    pub fn severity(self) -> Severity {
        self.row().1
    }

    /// What to do about it.
    pub fn remedy(self) -> &'static str {
        self.row().2
    }

    fn row(self) -> (&'static str, Severity, &'static str) {
        use Severity::{Error, Note};
        match self {
            FindingKind::MissingSplit => {
                ("missing-split", Error, crate::data::image_folder::LAYOUT)
            }
            FindingKind::EmptySplit => {
                ("empty-split", Error, "Add class folders with images to it.")
            }
            FindingKind::EmptyClass => {
                ("empty-class", Error, "Add images, or remove the class from every split.")
            }
            FindingKind::SmallClass => {
                ("small-class", Error, "Add images, or remove the class from every split.")
            }
            FindingKind::UnknownClass => (
                "unknown-class",
                Error,
                "Add the class to train, rename it as there, or remove it.",
            ),
            FindingKind::SimilarClassNames => (
                "similar-class-names",
                Error,
                "Give the folders of one class the same name, letter by letter.",
            ),
            FindingKind::ClassNameNotUtf8 => {
                ("class-name-not-utf8", Error, "Rename the folder: class names are stored as text.")
            }
            FindingKind::EmptyFile => {
                ("empty-file", Error, "Copy the image again, or remove the file.")
            }
            FindingKind::NotAnImage => {
                ("not-an-image", Error, "Replace the file with an image, or remove it.")
            }
            FindingKind::UnsupportedFormat => {
                ("unsupported-format", Error, "Convert the image to JPEG or PNG, or remove it.")
            }
            FindingKind::Corrupt => {
                ("corrupt", Error, "Replace the file with an intact image, or remove it.")
            }
            FindingKind::BadlyTruncated => {
                ("badly-truncated", Error, "Replace the file with an intact image, or remove it.")
            }
            FindingKind::TooLarge => ("too-large", Error, "Scale the image down, or remove it."),
            FindingKind::Unreadable => {
                ("unreadable", Error, "Check the owner and mode of the path, and the disk.")
            }
            FindingKind::BrokenSymlink => {
                ("broken-symlink", Error, "Restore what the link leads to, or remove it.")
            }
            FindingKind::SpecialFile => ("special-file", Error, "Replace it with a regular file."),
            FindingKind::StrayImage => {
                ("stray-image", Error, "Move the image into the folder of its class, or remove it.")
            }
            FindingKind::UnlistedImage => (
                "unlisted-image",
                Error,
                "Give the file the extension of its content, or remove it.",
            ),
            FindingKind::DuplicateAcrossClasses => {
                ("duplicate-across-classes", Error, "Keep the picture in the class it belongs to.")
            }
            FindingKind::DuplicateAcrossSplits => {
                ("duplicate-across-splits", Error, "Keep the picture in one split: copies flatter.")
            }
            FindingKind::NearDuplicateAcrossClasses => (
                "near-duplicate-across-classes",
                Error,
                "Look at them: one picture cannot be of two classes.",
            ),
            FindingKind::NearDuplicateAcrossSplits => (
                "near-duplicate-across-splits",
                Error,
                "Look at them, and keep the picture in one split: copies flatter.",
            ),
            FindingKind::BlankImage => ("blank-image", Error, "Replace or remove it."),
            FindingKind::TinyImage => {
                ("tiny-image", Error, "Replace it with a larger one, or remove it.")
            }
            FindingKind::Truncated => {
                ("truncated", Note, "It is used as far as it goes; replace it when you can.")
            }
            FindingKind::Duplicate => {
                ("duplicate", Note, "Remove all but one: copies weigh more than other images.")
            }
            FindingKind::NearDuplicate => {
                ("near-duplicate", Note, "Remove all but one: copies weigh more than other images.")
            }
            FindingKind::UnmeasuredClass => {
                ("unmeasured-class", Note, "Add images of the class, to see how well it is told.")
            }
            FindingKind::Imbalance => ("imbalance", Note, "Add images to the small classes."),
            FindingKind::ExtremeAspect => (
                "extreme-aspect",
                Note,
                "Cut out what matters: the square in the middle is all that is seen.",
            ),
            FindingKind::HugeImage => {
                ("huge-image", Note, "Scale it down to save time and memory.")
            }
            FindingKind::WrongExtension => {
                ("wrong-extension", Note, "The content decides; rename the file when you can.")
            }
            FindingKind::ExifRotated => (
                "exif-rotated",
                Note,
                "The orientation is not applied, as by torchvision; rotate the pixels themselves.",
            ),
            FindingKind::Animation => ("animation", Note, "The first picture is used."),
            FindingKind::Transparent => {
                ("transparent", Note, "Alpha is dropped: look at what colours lie under it.")
            }
            FindingKind::Grayscale => ("grayscale", Note, "It becomes RGB with equal channels."),
            FindingKind::Cmyk => ("cmyk", Note, "It becomes RGB without a colour profile."),
            FindingKind::SixteenBit => ("sixteen-bit", Note, "It is scaled to 8 bits."),
            FindingKind::NestedFolder => {
                ("nested-folder", Note, "Its images count as those of the class.")
            }
            FindingKind::RepeatedFolder => {
                ("repeated-folder", Note, "It is read once; remove the link when you can.")
            }
            FindingKind::FileNameNotUtf8 => (
                "file-name-not-utf8",
                Note,
                "It is used; in reports what is not UTF-8 in its name is replaced.",
            ),
            FindingKind::OtherFile => ("other-file", Note, "It is passed over."),
        }
    }
}

impl Serialize for FindingKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
