/**
 * Tags as a comment behind a statement, in the form of sqlcommenter and just as Prisma's runtime writes them; '' for
 * none. What is encoded has no slash, so that no text ends the comment.
 */
export function sqlComment(tags: Readonly<Record<string, string>> | undefined): string {
  if (tags === undefined) return '';
  const names = Object.keys(tags);
  if (names.length === 0) return '';
  names.sort((left, right) => left.localeCompare(right));
  const pairs = names.map((name) => {
    const value = encodeURIComponent(tags[name] as string).replaceAll("'", "\\'");
    return `${encodeURIComponent(name)}='${value}'`;
  });
  return ` /*${pairs.join(',')}*/`;
}
