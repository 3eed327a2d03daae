"""Cards and the site, from the catalog. No torch."""
