/**
 * What tslab's emitter leaves to be done in a cell's syntax tree: names of earlier cells in shorthand, and the
 * places where an interrupted cell stops.
 */

/** The file names that tslab gives to a cell and to the declarations of the cells before it. */
const CELL = "__tslab__.ts";
const EARLIER = "__prev__.d.ts";

/**
 * A transformer:
 * - `{ prompt }` of an earlier cell → `{ prompt: exports.prompt }`, in patterns too (tslab does the other identifiers)
 * - `await x` → `__tslab__.resumed(await x)`, which throws in a cell that was interrupted
 * - bodies of loops begin with `__tslab__.stopIfInterrupted()`, and those of `for await` with `__tslab__.resumed()`
 * - `import(x)` → `__tslab__.import(x)`, a real import, relative to the notebook's folder
 * - `import.meta` → `__tslab__.meta`
 */
export function rewriteCell(ts, checker) {
  const { factory } = ts;
  const member = (name) => factory.createPropertyAccessExpression(factory.createIdentifier("__tslab__"), name);
  const call = (name, ...values) => factory.createCallExpression(member(name), undefined, values);
  const isEarlier = (symbol) =>
    symbol?.declarations?.some((declaration) => declaration.getSourceFile().fileName.endsWith(EARLIER)) ?? false;

  return (context) => (file) => {
    if (!file.fileName.endsWith(CELL)) return file;
    const visitChildren = (node) => ts.visitEachChild(node, visit, context);
    return visitChildren(file);

    function visit(node) {
      if (ts.isShorthandPropertyAssignment(node) && isEarlier(checker.getShorthandAssignmentValueSymbol(node))) {
        const { name, objectAssignmentInitializer } = node;
        const value = factory.createPropertyAccessExpression(factory.createIdentifier("exports"), name.text);
        return factory.createPropertyAssignment(
          name.text,
          objectAssignmentInitializer === undefined
            ? value
            : factory.createAssignment(value, ts.visitNode(objectAssignmentInitializer, visit)),
        );
      }
      if (ts.isAwaitExpression(node)) return call("resumed", visitChildren(node));
      if (ts.isImportCall(node))
        return call("import", ...node.arguments.map((argument) => ts.visitNode(argument, visit)));
      if (ts.isMetaProperty(node) && node.keywordToken === ts.SyntaxKind.ImportKeyword) return member("meta");
      if (ts.isIterationStatement(node, false)) return stoppable(visitChildren(node), node.awaitModifier !== undefined);
      return visitChildren(node);
    }

    function stoppable(loop, asynchronous) {
      const stop = factory.createExpressionStatement(call(asynchronous ? "resumed" : "stopIfInterrupted"));
      const body = factory.createBlock(
        [stop, ...(ts.isBlock(loop.statement) ? loop.statement.statements : [loop.statement])],
        true,
      );
      if (ts.isForStatement(loop))
        return factory.updateForStatement(loop, loop.initializer, loop.condition, loop.incrementor, body);
      if (ts.isForInStatement(loop)) return factory.updateForInStatement(loop, loop.initializer, loop.expression, body);
      if (ts.isForOfStatement(loop))
        return factory.updateForOfStatement(loop, loop.awaitModifier, loop.initializer, loop.expression, body);
      if (ts.isWhileStatement(loop)) return factory.updateWhileStatement(loop, loop.expression, body);
      return factory.updateDoStatement(loop, body, loop.expression);
    }
  };
}
