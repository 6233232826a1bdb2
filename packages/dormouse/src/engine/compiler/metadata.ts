/** The part of Prisma's data model metadata (DMMF, version 7.10) that the engine reads. */

/** A type that an argument or input field may have. */
export interface InputTypeReference {
  readonly type: string;
  readonly namespace?: string;
  readonly location: 'scalar' | 'enumTypes' | 'inputObjectTypes' | 'fieldRefTypes';
  readonly isList: boolean;
}

/** An argument, or a field of an input type. */
export interface InputField {
  readonly name: string;
  readonly inputTypes: readonly InputTypeReference[];
  /** Whether the compiler accepts a placeholder in place of a value. */
  readonly isParameterizable: boolean;
}

export interface InputType {
  readonly name: string;
  readonly fields: readonly InputField[];
}

export interface OutputField {
  readonly name: string;
  readonly args: readonly InputField[];
  readonly outputType: { readonly type: string; readonly namespace?: string; readonly location: string };
}

export interface OutputType {
  readonly name: string;
  readonly fields: readonly OutputField[];
}

type Namespaces<T> = Readonly<Partial<Record<string, readonly T[]>>>;

export interface Metadata {
  readonly datamodel: {
    readonly enums: readonly {
      readonly name: string;
      readonly values: readonly { readonly name: string; readonly dbName?: string | null }[];
    }[];
  };
  readonly schema: {
    readonly inputObjectTypes: Namespaces<InputType>;
    readonly outputObjectTypes: Namespaces<OutputType>;
  };
  readonly mappings: {
    /** `{model: 'User', findMany: 'findManyUser', …}`: the root field of each action. */
    readonly modelOperations: readonly Readonly<Record<string, string | null | undefined>>[];
  };
}
