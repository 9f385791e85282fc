/** The names that a cell declares, and the declaration files that tell later cells their types. */
import { ts } from "./typescript.mjs";

function parse(text) {
  return ts.createSourceFile("cell.ts", text, ts.ScriptTarget.Latest, true);
}

/**
 * The names that a cell declares at its top level.
 *
 * @returns `variables`: let and var, which change after their declaration; `constants`: what does not, imports too
 */
export function declaredNames(source) {
  const variables = [];
  const constants = [];
  for (const statement of parse(source).statements) {
    if (ts.isVariableStatement(statement)) {
      const names = statement.declarationList.declarations.flatMap(({ name }) => boundNames(name));
      (statement.declarationList.flags & ts.NodeFlags.Const ? constants : variables).push(...names);
    } else if (isNamedValue(statement)) constants.push(statement.name.text);
    else if (ts.isImportDeclaration(statement)) constants.push(...importedNames(statement.importClause));
  }
  return { variables, constants };
}

/** The names of an identifier or of a destructuring pattern. */
function boundNames(name) {
  if (ts.isIdentifier(name)) return [name.text];
  return name.elements.flatMap((element) => (ts.isOmittedExpression(element) ? [] : boundNames(element.name)));
}

function importedNames({ name, namedBindings } = {}) {
  const others = namedBindings === undefined ? [] : (namedBindings.elements ?? [namedBindings]);
  return [name, ...others.map((binding) => binding.name)].filter(Boolean).map(({ text }) => text);
}

function isNamedValue(statement) {
  return (
    (ts.isFunctionDeclaration(statement) ||
      ts.isClassDeclaration(statement) ||
      ts.isEnumDeclaration(statement) ||
      ts.isModuleDeclaration(statement)) &&
    statement.name !== undefined
  );
}

/**
 * A declaration file with only those of its values for which `isKept` holds.
 *
 * @param withTypes whether types and imports stay
 */
export function selectValues(declarations, isKept, withTypes = true) {
  const file = parse(declarations);
  const { factory } = ts;
  const kept = file.statements.flatMap((statement) => {
    if (isNamedValue(statement)) return isKept(statement.name.text) ? [statement] : [];
    if (!ts.isVariableStatement(statement)) return withTypes ? [statement] : [];
    const { flags, declarations: all } = statement.declarationList;
    const some = all.filter(({ name }) => isKept(name.text));
    if (some.length === 0) return [];
    return [factory.createVariableStatement(statement.modifiers, factory.createVariableDeclarationList(some, flags))];
  });
  const printer = ts.createPrinter();
  return kept.map((statement) => `${printer.printNode(ts.EmitHint.Unspecified, statement, file)}\n`).join("");
}

/** A cell without its top-level `export`s, each character in its place: every name goes to later cells in any case. */
export function withoutExports(source) {
  let text = source;
  const blank = (start, end) => {
    text = text.slice(0, start) + text.slice(start, end).replace(/[^\n]/g, " ") + text.slice(end);
  };
  for (const statement of parse(source).statements) {
    if (ts.isExportDeclaration(statement) && statement.moduleSpecifier === undefined)
      blank(statement.getStart(), statement.end);
    for (const modifier of statement.modifiers ?? []) {
      if (modifier.kind === ts.SyntaxKind.ExportKeyword || modifier.kind === ts.SyntaxKind.DefaultKeyword)
        blank(modifier.getStart(), modifier.end);
    }
  }
  return text;
}

/** Codes of "exported variable … has or is using name … but cannot be named". */
const isUnnameable = (code) => code >= 4000 && code < 4200;

/**
 * A cell in which variables of a type that no declaration file can name have another: the module's own for an awaited
 * import, `any` for the others. Undefined where the diagnostics are about something else.
 */
export function withNameableTypes(source, diagnostics) {
  const offsets = diagnostics.filter(({ code }) => isUnnameable(code)).map(({ start }) => start.offset);
  if (offsets.length === 0) return undefined;
  let text = source;
  // From the end, so that the places before it stay where they are.
  for (const statement of [...parse(source).statements].reverse()) {
    if (!ts.isVariableStatement(statement)) continue;
    for (const { name, type, initializer } of [...statement.declarationList.declarations].reverse()) {
      const isMeant = offsets.some((offset) => offset >= name.getStart() && offset < name.end);
      if (type === undefined && isMeant)
        text = `${text.slice(0, name.end)}: ${typeOf(initializer)}${text.slice(name.end)}`;
    }
  }
  return text === source ? undefined : text;
}

function typeOf(initializer) {
  const imported = initializer !== undefined && ts.isAwaitExpression(initializer) && initializer.expression;
  return imported && ts.isImportCall(imported) && ts.isStringLiteral(imported.arguments[0])
    ? `typeof import(${imported.arguments[0].getText()})`
    : "any";
}
