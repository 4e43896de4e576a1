"""Files of the pages for people: plain HTML, CSS and JavaScript, served by `service.routes.root`."""
