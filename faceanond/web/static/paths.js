// Where things are on the server. Links are relative, so that they keep a name and password that the page's own address
// has; what a script asks for needs `location.origin` in front, because with a password in its address it may not be.

/** The path of a camera's page, or of something below it. Names need no escaping; a page does not rely on that. */
export function ofCamera(name, ...below) {
  return ["/cameras", name, ...below].map((part, place) => (place ? encodeURIComponent(part) : part)).join("/");
}
