/**
 * Tags as an SQL comment that follows a statement, in the format of sqlcommenter, exactly as Prisma's runtime writes
 * them. Gives '' without tags. Names and values are URL-encoded and so contain no slash: no tag can end the comment.
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
