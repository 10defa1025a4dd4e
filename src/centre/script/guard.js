(() => {
  const granted = new Set(document.currentScript.dataset.granted.split(" "));
  const { categories, exact, wild, records, identifiers, tokens, tracking, unclassified, presumes, own } = DATA;
  const known = new Map();
  exact.forEach((names, at) => names && names.split(" ").forEach((name) => known.set(name, categories[at])));
  const patterns = wild.map(([pattern, at]) => [new RegExp("^" + pattern + "$"), categories[at]]);
  const everything = categories.every((category) => granted.has(category));
  const find = (name) => known.get(name) || (patterns.find(([pattern]) => pattern.test(name)) || [])[1];
  const expressions = [records, identifiers, tokens, tracking].map((source) => new RegExp(source, "i"));
  const [speaksOfConsent, isIdentifier, isToken, tracks] = expressions;
  const allowed = (name) => {
    const category = find(name) || find(name.replace(/^__(host|secure|http|host-http)-/i, ""));
    if (category) return granted.has(category);
    if (unclassified || everything || (speaksOfConsent.test(name) && !isIdentifier.test(name))) return true;
    // Scripts write CSRF tokens that a site needs.
    return presumes && isToken.test(name) && !tracks.test(name);
  };

  // Only SP and HTAB are blanks, as for browsers.
  const trim = (text) => text.replace(/^[ \t]+|[ \t]+$/g, "");
  const split = (part) => {
    const at = part.indexOf("=");
    return at < 0 ? [trim(part)] : [trim(part.slice(0, at)), trim(part.slice(at + 1))];
  };
  // Browsers differ in what they make of odd lifetimes: whatever one of them may read as a deletion is written anew as one.
  const day = 24 * 60 * 60 * 1000;
  const date = /^\w{3}, \d\d[ -]\w{3}[ -]\d{4} \d\d:\d\d:\d\d GMT$/;
  const isPast = (time) => !(time > Date.now() + day);
  const mayDelete = ([key, value = ""]) =>
    key === "max-age" ? !/^0*[1-9]\d*$/.test(value) : key === "expires" && (!date.test(value) || isPast(Date.parse(value)));
  const place = new Set(["path", "domain", "secure", "samesite", "partitioned"]);
  const deletion = (name, attributes) =>
    [name ? name + "=" : "=deleted", "max-age=0", "expires=Thu, 01 Jan 1970 00:00:00 GMT"]
      .concat(attributes.filter(([key]) => place.has(key)).map((attribute) => attribute.join("=")))
      .join("; ");

  // Scripts neither write nor delete the consent cookie. Browsers send the nameless `=name=value` as `name=value`.
  const isOwn = (pair) => own.includes(split(trim(pair).replace(/^=/, ""))[0]);

  const cookie = Object.getOwnPropertyDescriptor(Document.prototype, "cookie");
  Object.defineProperty(Document.prototype, "cookie", {
    ...cookie,
    set(value) {
      const [line] = String(value).split(/[\0\r\n]/, 1);
      const [pair, ...parts] = line.split(";");
      if (isOwn(pair)) return;
      const name = pair.includes("=") ? split(pair)[0] : "";
      const attributes = parts.map(split).map(([key, ...rest]) => [key.toLowerCase(), ...rest]);
      if (allowed(name)) cookie.set.call(this, line);
      else if (attributes.some(mayDelete)) cookie.set.call(this, deletion(name, attributes));
    },
  });
  if (window.CookieStore) {
    const { set, delete: remove } = CookieStore.prototype;
    // Reads the name once: a getter may have another name the next time.
    const read = (args) => {
      const options = args.length === 1 && Object(args[0]) === args[0] ? args[0] : undefined;
      const name = String(options ? options.name : args[0]);
      return [name, options, options ? [Object.create(options, { name: { value: name } })] : [name, ...args.slice(1)]];
    };
    CookieStore.prototype.set = async function (...args) {
      const [name, options, passed] = read(args);
      if (isOwn(name)) return;
      if (allowed(trim(name))) return set.apply(this, passed);
      const { expires, maxAge, domain, path, partitioned } = options || {};
      const deletes = (maxAge != null && !(maxAge > 0)) || (expires != null && isPast(expires));
      if (deletes) return remove.call(this, { name, domain, path, partitioned });
    };
    CookieStore.prototype.delete = async function (...args) {
      const [name, , passed] = read(args);
      if (!isOwn(name)) return remove.apply(this, passed);
    };
  }

  const { setItem } = Storage.prototype;
  Storage.prototype.setItem = function (key, value) {
    if (allowed(String(key))) setItem.call(this, key, value);
  };
  for (const kind of ["localStorage", "sessionStorage"]) {
    let real;
    try { real = window[kind]; } catch { continue; }
    if (!real) continue;
    const proxy = new Proxy(real, {
      get: (target, key) => {
        const value = Reflect.get(target, key);
        return typeof value === "function" && key in Storage.prototype ? value.bind(target) : value;
      },
      set: (target, key, value) => typeof key !== "string" || !allowed(key) || Reflect.set(target, key, value),
      defineProperty: (target, key, how) =>
        typeof key !== "string" || !allowed(key) || Reflect.defineProperty(target, key, how),
    });
    Object.defineProperty(window, kind, { get: () => proxy, configurable: true, enumerable: true });
  }
})();
