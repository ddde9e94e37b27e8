"""Static files under names that change with their content."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class ModuleStorage(CompressedManifestStaticFilesStorage):
    """Also rewrites `import "./copy.js"` inside modules, which the default leaves unhashed."""

    support_js_module_import_aggregation = True
