/**
 * Owns: the nodes of a program's tree, and how each is evaluated.
 * Never: reads a plan, or writes a reply.
 */

export { JoinNode } from './join-node.ts';
export {
  concatenated,
  difference,
  fieldValues,
  MapNode,
  processed,
  required,
  reversed,
  standIn,
  total,
  unique,
  validated,
} from './map-node.ts';
export {
  ChoiceNode,
  ExecuteNode,
  FirstNonEmptyNode,
  GeneratorNode,
  LetNode,
  ListNode,
  type Node,
  QueryNode,
  SequenceNode,
  TransactionNode,
  UNIT,
  ValueNode,
  VariableNode,
} from './nodes.ts';
