(() => {
  const granted = new Set(document.currentScript.dataset.granted.split(" "));
  const { categories, exact, wild, records, identifiers, unclassified } = DATA;
  const known = new Map();
  exact.forEach((names, at) => names && names.split(" ").forEach((name) => known.set(name, categories[at])));
  const patterns = wild.map(([pattern, at]) => [new RegExp("^" + pattern + "$"), categories[at]]);
  const everything = categories.every((category) => granted.has(category));
  const find = (name) => known.get(name) || (patterns.find(([pattern]) => pattern.test(name)) || [])[1];
  const [speaksOfConsent, isIdentifier] = [records, identifiers].map((source) => new RegExp(source, "i"));
  const allowed = (name) => {
    const category = find(name) || find(name.replace(/^__(host|secure|http|host-http)-/i, ""));
    if (category) return granted.has(category);
    return unclassified || everything || (speaksOfConsent.test(name) && !isIdentifier.test(name));
  };

  const cookie = Object.getOwnPropertyDescriptor(Document.prototype, "cookie");
  const deletes = (line) => {
    const age = /;\s*max-age\s*=\s*(-?\d+)/i.exec(line);
    const expires = /;\s*expires\s*=\s*([^;]*)/i.exec(line);
    return age ? age[1] <= 0 : expires && Date.parse(expires[1]) < Date.now();
  };
  Object.defineProperty(Document.prototype, "cookie", {
    ...cookie,
    set(value) {
      const line = String(value);
      const [pair] = line.split(";", 1);
      const at = pair.indexOf("=");
      if (deletes(line) || allowed(at < 0 ? "" : pair.slice(0, at).trim())) cookie.set.call(this, line);
    },
  });
  if (window.CookieStore) {
    const { set } = CookieStore.prototype;
    CookieStore.prototype.set = function (first, ...rest) {
      const name = String(Object(first) === first ? first.name : first);
      return allowed(name) ? set.call(this, first, ...rest) : Promise.resolve();
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
